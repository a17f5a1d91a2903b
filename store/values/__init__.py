"""A value as a sealed row, and back: the only place where codec meets trust."""
