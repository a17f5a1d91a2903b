"""The engine in memory: the reference for what an engine does, and `Store(":memory:")`."""
