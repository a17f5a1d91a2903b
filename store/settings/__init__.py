"""`Settings`: the settings of a program, kept in a store."""

from store.settings.settings import Settings

__all__ = ["Settings"]
