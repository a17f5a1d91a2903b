"""The formats of sources: one file for each kind, loaded when it is used."""
