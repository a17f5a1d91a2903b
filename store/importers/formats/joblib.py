"""Files of `joblib.dump`: one file, or all of a folder and the folders in it, compressed or not.

Arrays of plain dtypes are decoded restricted, without joblib itself; models need `allow`, or `trust="all"`, which
runs the file's code. https://joblib.readthedocs.io/en/stable/persistence.html
"""

from __future__ import annotations

import os
from collections.abc import Generator

from store.importers.compressed import FAILURES, MAGIC, expand
from store.importers.contract import Found
from store.importers.files import files_of, has_file_of, header_of, is_pickle

SUFFIXES = (
    ".joblib", ".pkl", ".pickle", ".jbl",
    *(f"{stem}{suffix}" for stem in (".joblib", ".pkl", "") for suffix in (".z", ".gz", ".bz2", ".xz", ".lzma")),
)  # fmt: skip


class JoblibImporter:
    """Reads `.joblib`, `.pkl`, `.pickle`, and these with the suffix of a compression behind them."""

    name = "joblib"

    def recognises(self, path: str) -> bool:
        if os.path.isdir(path):
            return has_file_of(path, SUFFIXES)
        header = header_of(path)
        return is_pickle(header) or (path.endswith(SUFFIXES) and header.startswith(MAGIC))

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        for found in files_of(path, SUFFIXES, "joblib"):
            yield found if found.problem else _expanded(found)


def _expanded(found: Found) -> Found:
    try:
        return found._replace(value=expand(found.value))
    except FAILURES as exc:
        return found._replace(value=None, problem=f"it cannot be decompressed: {exc}")


importer = JoblibImporter()
