"""From a path to an engine: making, recognising and opening files."""
