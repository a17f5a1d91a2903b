"""Pickles in files: one file, or all of a folder and the folders in it.

A record is named after its file, without the suffix, with the folders in front: `users/alice.pkl` is "users/alice".
Percent escapes, as `store export pickles` writes them, are undone. Links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from urllib.parse import unquote

from store.care.foreign import problem_of
from store.errors import StorageError
from store.importers import Found
from store.importers.files import SQLITE_MAGIC, beneath, contents_of, header_of, is_file, unreadable

SUFFIXES = (".pickle", ".pkl", ".pck", ".pcl", ".p")
_MORE = "bytes follow its end"


class PicklesImporter:
    """Reads `.pickle`, `.pkl`, `.pck`, `.pcl` and `.p`; a single file may have any name."""

    name = "pickles"

    def recognises(self, path: str) -> bool:
        if os.path.isdir(path):
            return has_file_of(path, SUFFIXES)
        header = header_of(path)
        return (
            is_file(path) and not header.startswith(SQLITE_MAGIC) and (path.endswith(SUFFIXES) or is_pickle(header))
        )

    def read(self, path: str, *, table: str | None = None) -> Generator[Found, None, None]:
        for name, data, problem, skipped in files_of(path, SUFFIXES):
            yield Found(name, data, codec="pickle", problem=problem or _several(data), skipped=skipped)


def _several(data: bytes) -> str:
    """What is wrong with a file of several pickles, of which the standard library would read the first alone."""
    return "more follows after the first pickle in it: split the file" if problem_of("pickle", data) == _MORE else ""


def is_pickle(header: bytes) -> bool:
    """Whether a file begins as a pickle of protocol 2 or newer does."""
    return len(header) > 1 and header[0] == 0x80 and 2 <= header[1] <= 5


def files_of(path: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes, str, bool]]:
    """Name, content, problem, and whether it is left out, of a file or of each in a folder, in order of name."""
    if not os.path.isdir(path):
        yield name_of_file(os.path.basename(path), suffixes), contents_of(path), "", False
        return
    for inner in listed(path):
        name = name_of_file(inner, suffixes)
        if os.path.islink(os.path.join(path, inner)):
            yield name, b"", "it is a link, which is not followed", False
        elif not inner.endswith(suffixes):
            yield inner, b"", f"by its name it is none of {', '.join(suffixes)}", True
        else:
            try:
                yield name, beneath(path, inner), "", False
            except (ValueError, OSError) as exc:
                yield name, b"", str(exc), False


def listed(folder: str) -> list[str]:
    """The files under a folder, by relative path, in order."""
    found = []
    try:
        for at, folders, files in os.walk(folder, onerror=_stop):
            links = [name for name in folders if os.path.islink(os.path.join(at, name))]
            found += [os.path.relpath(os.path.join(at, name), folder) for name in files + links]
    except OSError as exc:
        raise unreadable(folder, exc) from exc
    return sorted(found)


def has_file_of(folder: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a folder has a file of those suffixes, or nothing at all."""
    try:
        names = listed(folder)
    except StorageError:
        return False
    return not names or any(name.endswith(suffixes) for name in names)


def name_of_file(path: str, suffixes: tuple[str, ...]) -> str:
    """The record's name; a path that is not UTF-8 keeps its escapes."""
    stem = next((path.removesuffix(suffix) for suffix in suffixes if path.endswith(suffix)), path)
    try:
        return unquote(stem, errors="strict")
    except UnicodeDecodeError:
        return stem


def _stop(error: OSError) -> None:
    raise error


importer = PicklesImporter()
