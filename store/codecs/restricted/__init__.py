"""The restricted decoder: the only parser of foreign pickles."""
