"""Writing the files of one record: each with its checksum, synced, with the rights of the database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from store.engines.sqlite.spill.checksums import Checksums
from store.engines.sqlite.spill.folder import Folder, OpenFolder
from store.rows.spilled import Part, new_file
from store.system.allocation import allocate
from store.system.descriptors import NEW
from store.system.rights import give_rights

CHUNK_BYTES = 8 * 1024 * 1024  # of one write: an interrupt waits for no more


def write_parts(
    folder: Folder, opened: OpenFolder, prefix: str, contents: Sequence[Any], made: list[str]
) -> list[Part]:
    """Writes and syncs a file for each content, bytes or another flat buffer; `made` gets each name before that."""
    files = [new_file(prefix) for _ in contents]
    return _write(folder, opened, files, contents, made)


def write_as(folder: Folder, opened: OpenFolder, file: str, content: Any) -> Part:
    """Like `write_parts`, for one file with a given name. Raises: FileExistsError."""
    return _write(folder, opened, [file], [content], [])[0]


def write_chunks(folder: Folder, opened: OpenFolder, file: str, chunks: Iterable[bytes]) -> None:
    """Writes and syncs one file with a given name piece by piece. Raises: FileExistsError."""
    database = folder.rights()
    with opened.open(file, NEW) as descriptor:
        give_rights(descriptor, database, database.st_mode & 0o666)
        with open(descriptor, "wb", closefd=False) as target:
            for chunk in chunks:
                target.write(chunk)
        os.fsync(descriptor)
    opened.sync()


def _write(
    folder: Folder, opened: OpenFolder, files: Sequence[str], contents: Iterable[Any], made: list[str]
) -> list[Part]:
    views = [memoryview(content).cast("B") for content in contents]
    database = folder.rights()
    with Checksums(views) as checksums:
        for file, view in zip(files, views, strict=True):
            made.append(file)
            _write_one(folder, opened, file, view, database)
        opened.sync()
    return [Part(*each) for each in zip(files, map(len, views), checksums.found(), strict=True)]


def _write_one(folder: Folder, opened: OpenFolder, file: str, content: memoryview, database: os.stat_result) -> None:
    with opened.open(file, NEW) as descriptor:
        give_rights(descriptor, database, database.st_mode & 0o666)
        allocate(descriptor, len(content), folder.path)
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written : written + CHUNK_BYTES])
        os.fsync(descriptor)
