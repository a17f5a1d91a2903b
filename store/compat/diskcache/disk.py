"""`Disk`, as far as a program may see it: the encoding itself is the store's."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

from store.compat.diskcache import keys
from store.compat.diskcache.numbers import LARGEST, SMALLEST

_MASK = 0xFFFFFFFF


class Disk:
    """The names that keys have in the store. Values are encoded and sealed by the store; there is no hook for it."""

    def __init__(self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        self.directory = directory
        self.min_file_size = min_file_size
        self.pickle_protocol = pickle_protocol

    def put(self, key: Any) -> tuple[str, bool]:
        """The name of a key, and True. Raises: ValueError, NotSerializable: as `keys.name_of`."""
        return keys.name_of(key), True

    def get(self, name: str, raw: bool) -> Any:
        """The key of a name. Raises: Corrupt: no key has that name, or its record has it."""
        return keys.key_of(name)

    def hash(self, key: Any) -> int:
        """A number that is the same in each process; for text, bytes and numbers it is diskcache's."""
        kind = type(key)
        if kind is int and SMALLEST <= key <= LARGEST:
            return int(key % _MASK)
        if kind is float:
            data = pack("!d", key)
        else:
            data = key if kind is bytes else (key if kind is str else keys.name_of(key)).encode()
        return zlib.adler32(data) & _MASK


class JSONDisk(Disk):
    """Refused as the `disk=` of a cache: see `checked`."""

    def __init__(self, directory: str, compress_level: int = 1, **settings: Any) -> None:
        raise ValueError(REFUSED[JSONDisk])


REFUSED: dict[type, str] = {
    JSONDisk: (
        "JSONDisk keeps a cache from running pickles of others, at the price of lists for tuples and text for keys; "
        "here records are sealed, and those of others are read without running anything: leave disk= out. What a "
        "JSONDisk of diskcache wrote comes over with `store import diskcache`"
    )
}
_CUSTOM = (
    "{} encodes keys and values itself, and here they are encoded and sealed by the store: leave disk= out, and let "
    "its classes define __reduce__, or convert values before they are set"
)


def checked(disk: Any) -> type[Disk]:
    """The class. Raises: ValueError: it is no Disk, JSONDisk, or a class of the program's own."""
    if disk is Disk:
        return Disk
    if not (isinstance(disk, type) and issubclass(disk, Disk)):
        raise ValueError("disk must subclass diskcache.Disk")
    raise ValueError(REFUSED.get(disk) or _CUSTOM.format(disk.__qualname__))
