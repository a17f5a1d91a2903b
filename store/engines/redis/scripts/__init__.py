"""The Lua scripts of the engine."""
