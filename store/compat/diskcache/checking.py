"""`check`: whether the file is sound, and what else is in the folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

from store.care.verify import Verification
from store.compat.diskcache.errors import EmptyDirWarning, UnknownFileWarning
from store.compat.diskcache.folder import FILE, SHARDED_FILE, THEIRS
from store.compat.diskcache.opened import Opened, attempt

_DATABASES = (FILE, SHARDED_FILE, THEIRS)


def check(opened: Opened, directory: str, fix: bool, retry: bool) -> list[Any]:
    """A warning for each fault: of the file and its records, unknown files, empty folders.

    `fix` gives free pages and files without a record back, and deletes unknown files and empty folders. It leaves
    records alone, damaged ones too, and whatever is in a folder with a database of diskcache or of another cache.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        store = opened.records.store
        for fault in _faults(store.verify()):
            warnings.warn(fault, stacklevel=2)
        if fix:
            attempt(retry, store.compact)
        for path in list(_unknown(directory)):
            warnings.warn(f"unknown file: {path}", UnknownFileWarning, stacklevel=2)
            if fix:
                os.remove(path)
        for path in list(_empty(directory)):
            warnings.warn(f"empty directory: {path}", EmptyDirWarning, stacklevel=2)
            if fix:
                os.rmdir(path)
    return found


def _faults(found: Verification) -> Iterator[str]:
    yield from found.damage
    for verdict in ("tampered", "corrupt", "unfound"):
        yield from (f"{verdict} record: {name!r} in {namespace!r}" for namespace, name in getattr(found, verdict))
    yield from (f"file of record {name!r} in {namespace!r}: {problem}" for namespace, name, problem in found.files)


def _folders(directory: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """The folder and those below it, but for caches of their own and the files of large values."""
    for path, folders, files in os.walk(directory):
        if path != directory and any(name in files for name in _DATABASES):
            folders.clear()
            continue
        if path == directory:
            folders[:] = [name for name in folders if not name.startswith(_DATABASES)]
        yield path, folders, files


def _unknown(directory: str) -> Iterator[str]:
    """The files that are not of the cache; with a database of diskcache beside it, none is known to be unknown."""
    if os.path.exists(os.path.join(directory, THEIRS)):
        return
    for path, _, files in _folders(directory):
        is_top = path == directory
        yield from (os.path.join(path, name) for name in files if not (is_top and name.startswith(_DATABASES)))


def _empty(directory: str) -> Iterator[str]:
    return (path for path, folders, files in _folders(directory) if not folders and not files)
