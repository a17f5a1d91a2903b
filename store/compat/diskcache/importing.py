"""How the records of a folder of diskcache are written, so that `Cache` finds them under their keys.

Settings are not imported. A value that diskcache has in a file is bytes; large ones give a handle, as others do.
"""

from __future__ import annotations

from typing import Any

from store.compat.diskcache import keys, values
from store.compat.diskcache.entries import tag_name
from store.compat.diskcache.settings import DEFAULT_SETTINGS


class CacheForm:
    """The names and forms of `keys.py` and `values.py`, for `store.importers.import_into`."""

    def name_of(self, key: Any) -> str:
        """The name of a key. Raises: ValueError, NotSerializable."""
        return keys.name_of(key)

    def tag_of(self, tag: Any) -> str | None:
        """The text for a tag. Raises: TypeError."""
        return tag_name(tag)

    def value_of(self, name: str, key: Any, value: Any) -> Any:
        """What is stored for a value: bytes and no buffer, so that importing again finds it unchanged."""
        key = key if keys.is_digest(name) else None
        if type(value) is bytes and len(value) >= DEFAULT_SETTINGS["disk_min_file_size"]:
            return values.MARK, "file", key, value
        return values.pack(value, False, len(value) + 1 if type(value) is bytes else 0, key)
