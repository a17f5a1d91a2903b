"""What pages and forms are made of: tables, names and links, moments, sentences, the content of a record."""
