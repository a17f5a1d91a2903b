"""Decompression that stops at a limit: a few bytes of a hostile file can stand for gigabytes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from importlib import import_module
from typing import Any

MAX_BYTES = 1024 * 1024 * 1024
"""How large a compressed file may become."""
MAX_LZMA_BYTES = 512 * 1024 * 1024  # of memory; a file of xz -9 takes 65 MiB, and a file may ask for 4 GiB
MAGIC = (b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\0\0")
"""How the data of zlib, gzip, bzip2, xz and lzma begins."""
FAILURES = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)
"""What decompressing damaged data raises."""
_OF_LIBRARIES = {
    b"\x04\x22\x4d\x18": ("LZ4", "lz4", ("lz4.frame:LZ4FrameDecompressor",)),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "pyzstd", ("compression.zstd:ZstdDecompressor", "pyzstd:ZstdDecompressor")),
}
"""How data begins → the name of its form, what to install, and where a decompressor is: Python 3.14 has one."""
_GZIP_OR_ZLIB = 32 + 15  # zlib finds out which


def expand(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The bytes, decompressed where they are compressed: by zlib, gzip, bzip2, xz, lzma, LZ4 or Zstandard.

    Raises:
        ValueError: over the limit, or no library for it is installed. All `FAILURES`: the data are damaged.
    """
    decompressor: Any
    if data[:4] in _OF_LIBRARIES:
        return _by_library(data, limit, *_OF_LIBRARIES[data[:4]])
    if data.startswith(MAGIC[:2]):
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
    elif data.startswith(MAGIC[2]):
        decompressor = bz2.BZ2Decompressor()
    elif data.startswith(MAGIC[3:]):
        decompressor = lzma.LZMADecompressor(memlimit=MAX_LZMA_BYTES)
    else:
        return data
    return _all_of(decompressor, data, limit)


def _by_library(data: bytes, limit: int, form: str, install: str, places: tuple[str, ...]) -> bytes:
    for place in places:
        module, _, name = place.partition(":")
        try:
            decompressor = getattr(import_module(module), name)()
        except ImportError:
            continue
        try:
            return _all_of(decompressor, data, limit)
        except Exception as exc:  # lz4 raises RuntimeError, the others classes of their own
            raise ValueError(str(exc)) from exc
    raise ValueError(f"it is compressed by {form}: pip install {install}, and import it again")


def inflated(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The bytes that zlib compressed; bytes after their end are ignored, as `zlib.decompress` ignores them.

    Raises:
        ValueError: over the limit, damaged, or cut short.
    """
    try:
        return _all_of(zlib.decompressobj(), data, limit)
    except zlib.error as exc:
        raise ValueError(str(exc)) from exc


def _all_of(decompressor: Any, data: bytes, limit: int) -> bytes:
    found: bytes = decompressor.decompress(data, limit + 1)
    if len(found) > limit:
        raise ValueError(f"it would take more than {limit} bytes")
    if not decompressor.eof:
        raise ValueError("its end is missing")
    return found
