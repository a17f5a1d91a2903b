"""How commands show things: text, tables, JSON, progress, errors and exit codes."""
