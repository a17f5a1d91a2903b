"""The shapes of a record: a row, its metadata, and the parts of it that are files."""
