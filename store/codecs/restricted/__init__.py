"""The restricted decoder: the only parser of pickles that somebody else wrote."""
