"""Files of `joblib.dump`: one file, or all of a folder and the folders in it, compressed or not.

Arrays of plain dtypes are read with restraint, without joblib itself; models need `allow`, or `trust="all"`, which
runs the file's code. https://joblib.readthedocs.io/en/stable/persistence.html
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Generator
from typing import Any

from store.importers.contract import Found
from store.importers.files import files_of, has_file_of, header_of, is_pickle

SUFFIXES = (
    ".joblib", ".pkl", ".pickle", ".jbl",
    *(f"{stem}{suffix}" for stem in (".joblib", ".pkl", "") for suffix in (".z", ".gz", ".bz2", ".xz", ".lzma")),
)  # fmt: skip
MAX_BYTES = 1024 * 1024 * 1024
"""How large a compressed file may become."""
MAX_LZMA_BYTES = 512 * 1024 * 1024  # of memory; a file of xz -9 takes 65 MiB, and a file may ask for 4 GiB
_GZIP_OR_ZLIB = 32 + 15  # zlib finds out which
_MAGIC = (b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\0\0")
_FAILURES = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class JoblibImporter:
    """Reads `.joblib`, `.pkl`, `.pickle`, and these with the suffix of a compression behind them."""

    name = "joblib"

    def recognises(self, path: str) -> bool:
        if os.path.isdir(path):
            return has_file_of(path, SUFFIXES)
        header = header_of(path)
        return is_pickle(header) or (path.endswith(SUFFIXES) and header.startswith(_MAGIC))

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        for found in files_of(path, SUFFIXES, "joblib"):
            yield found if found.problem else _expanded(found)


def _expanded(found: Found) -> Found:
    try:
        return found._replace(value=expand(found.value))
    except _FAILURES as exc:
        return found._replace(value=None, problem=f"it cannot be decompressed: {exc}")


def expand(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The bytes, decompressed where they are compressed. Raises: ValueError: over the limit; the codecs' own."""
    decompressor: Any
    if data.startswith(_MAGIC[:2]):
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
    elif data.startswith(_MAGIC[2]):
        decompressor = bz2.BZ2Decompressor()
    elif data.startswith(_MAGIC[3:]):
        decompressor = lzma.LZMADecompressor(memlimit=MAX_LZMA_BYTES)
    else:
        return data
    return _all_of(decompressor, data, limit)


def _all_of(decompressor: Any, data: bytes, limit: int) -> bytes:
    found: bytes = decompressor.decompress(data, limit + 1)
    if len(found) > limit:
        raise ValueError(f"it would take more than {limit} bytes")
    if not decompressor.eof:
        raise ValueError("its end is missing")
    return found


importer = JoblibImporter()
