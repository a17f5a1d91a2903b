"""Maps files into memory without keeping a descriptor, so that the limit of descriptors does not limit the values.

From Python 3.13 on `mmap` can do that (trackfd=False). Before, it keeps a copy of the descriptor as long as the map
exists. An anonymous map has none: it is created first, and the C library replaces it by the file, with MAP_FIXED.
https://pubs.opengroup.org/onlinepubs/9699919799/functions/mmap.html
"""

from __future__ import annotations

import mmap
import os
import sys
from functools import cache
from typing import Any

_given_up: list[mmap.mmap] = []  # their addresses may belong to another map: never unmapped


def map_file(descriptor: int, size: int) -> memoryview:
    """The first `size` bytes of a file, read-only, until nothing refers to them. Raises: OSError."""
    if sys.version_info >= (3, 13):
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ, trackfd=False))
    library = _library()
    if library is None:
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    return _put_in_place(library, descriptor, size)


def _put_in_place(library: Any, descriptor: int, size: int) -> memoryview:
    import ctypes

    # Private and read-only, so that it does not count as used memory.
    place = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
    address, length = ctypes.c_void_p(), ctypes.c_ssize_t()
    ctypes.pythonapi.PyObject_AsReadBuffer(ctypes.py_object(place), ctypes.byref(address), ctypes.byref(length))
    found = library.mmap(address, size, mmap.PROT_READ, mmap.MAP_SHARED | _FIXED, descriptor, 0)
    if found != address.value:  # MAP_FAILED
        error = ctypes.get_errno()
        _given_up.append(place)
        raise OSError(error, os.strerror(error))
    return memoryview(place)


_FIXED = 0x10  # MAP_FIXED, of Linux and macOS; `mmap` does not name it


@cache
def _library() -> Any:
    """The C library; None without ctypes, or if the address of a map cannot be chosen."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return None
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
        ]  # fmt: skip
    except (ImportError, OSError, AttributeError):
        return None
    return library
