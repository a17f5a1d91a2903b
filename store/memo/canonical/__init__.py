"""The canonical form of a value: the same bytes for equal values in every process."""
