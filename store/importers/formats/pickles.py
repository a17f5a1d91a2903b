"""Pickles in files: one file, or all of a folder and the folders in it.

A record is named after its file, without the suffix, with the folders in front: `users/alice.pkl` is "users/alice".
Percent escapes, as `store export pickles` writes them, are undone. Links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Generator

from store.care.foreign import problem_of
from store.importers.contract import Found
from store.importers.files import SQLITE_MAGIC, files_of, has_file_of, header_of, is_file, is_pickle

SUFFIXES = (".pickle", ".pkl", ".pck", ".pcl", ".p")
_MORE = "bytes follow its end"


class PicklesImporter:
    """Reads `.pickle`, `.pkl`, `.pck`, `.pcl` and `.p`; a single file may have any name."""

    name = "pickles"

    def recognises(self, path: str) -> bool:
        if os.path.isdir(path):
            return has_file_of(path, SUFFIXES)
        header = header_of(path)
        is_named_so = path.endswith(SUFFIXES) and is_file(path) and not header.startswith(SQLITE_MAGIC)
        return is_named_so or is_pickle(header)

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        for found in files_of(path, SUFFIXES, "pickle"):
            if not found.problem and problem_of("pickle", found.value) == _MORE:  # `pickle.load` would read one
                found = found._replace(problem="more follows after the first pickle in it: split the file")  # noqa: PLW2901
            yield found


importer = PicklesImporter()
