"""The part of a value that cannot be encoded."""
