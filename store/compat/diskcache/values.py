"""What a record of the cache holds: the value, and what else a reader must know of it.

Nearly all values are stored as they are. A tuple (MARK, form, key, value) stands for

- a value that was written from a file, and large bytes (form "file"): `read=True` gives a handle of it. Its bytes
  are a buffer, which the store maps from a file of its own where it is large;
- a value whose key is not in the name of the record (form "value"; see `keys.py`);
- a value that is itself such a tuple.
"""

from __future__ import annotations

import io
from functools import partial
from typing import Any, NamedTuple

from store.codecs.pickle import PickleBuffer

MARK = "store.compat.diskcache"
CHUNK_BYTES = 4 * 1024 * 1024
_PLAIN = (str, int, float, bytes)  # what `read=True` does not read from, as in diskcache


class Held(NamedTuple):
    """The content of a record. `key` is None where its name has the key."""

    value: Any
    is_file: bool = False
    key: Any = None


def pack(value: Any, read: bool, file_bytes: int, key: Any = None) -> Any:
    """What is stored for a value.

    `read`: the value is a file, open in binary mode, whose content is stored. `file_bytes`: the size from which bytes
    can be read by a handle. `key`: where the name of the record does not have it.
    """
    is_file = read and type(value) not in _PLAIN
    if is_file:
        value = b"".join(iter(partial(value.read, CHUNK_BYTES), b""))
    is_file = is_file or (type(value) is bytes and len(value) >= file_bytes)
    if is_file:
        return MARK, "file", key, PickleBuffer(value)
    if key is not None or _is_marked(value):
        return MARK, "value", key, value
    return value


def unpack(stored: Any) -> Held:
    """The content of a record."""
    if not _is_marked(stored):
        return Held(stored)
    _, form, key, value = stored
    return Held(value, form == "file", key)


def _is_marked(value: Any) -> bool:
    return type(value) is tuple and len(value) == 4 and type(value[0]) is str and value[0] == MARK


def value_of(stored: Any, read: bool = False) -> Any:
    """The value, or with `read` a handle of one that is a file."""
    if not _is_marked(stored):
        return stored
    held = unpack(stored)
    if not held.is_file:
        return held.value
    return io.BufferedReader(Mapped(held.value)) if read else bytes(held.value)


class Mapped(io.RawIOBase):
    """A file, open for reading, whose content is a buffer; a large one is mapped and read as it is needed."""

    name = "<value in a store>"
    mode = "rb"

    def __init__(self, content: bytes | memoryview) -> None:
        self._view = memoryview(content).cast("B")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        found = self._view[self._at : self._at + len(target)]
        target[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        if start + offset < 0:
            raise ValueError(f"a file has no position {start + offset}")
        self._at = start + offset
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._view.release()
        super().close()
