"""Which classes may be loaded, their new names after a move, and placeholders for missing classes."""
