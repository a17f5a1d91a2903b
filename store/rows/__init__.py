"""What is stored: a row, its metadata, and the parts of it that are files."""
