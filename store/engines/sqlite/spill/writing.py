"""Writing the files of one record: each with its checksum, synced, with the rights of the database."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from store.engines.sqlite.spill.folder import Folder, OpenFolder
from store.rows.spilled import Part, checksum, new_file
from store.system.descriptors import NEW
from store.system.rights import give_rights

CHUNK_BYTES = 8 * 1024 * 1024  # of one write: an interrupt waits for no more
HASHED_BESIDE_BYTES = 4 * 1024 * 1024  # from here on a thread hashes while the kernel writes and syncs


def write_parts(
    folder: Folder, opened: OpenFolder, prefix: str, contents: Sequence[Any], made: list[str]
) -> list[Part]:
    """Writes and syncs a file for each content, bytes or another flat buffer; `made` gets each name before that."""
    database = folder.rights()
    parts = []
    for content in contents:
        made.append(new_file(prefix))
        parts.append(_write(opened, made[-1], memoryview(content).cast("B"), database))
    opened.sync()
    return parts


def write_as(folder: Folder, opened: OpenFolder, file: str, content: Any) -> Part:
    """Like `write_parts`, for one file with a given name. Raises: FileExistsError."""
    part = _write(opened, file, memoryview(content).cast("B"), folder.rights())
    opened.sync()
    return part


def _write(folder: OpenFolder, file: str, content: memoryview, database: os.stat_result) -> Part:
    with folder.open(file, NEW) as descriptor:
        give_rights(descriptor, database, database.st_mode & 0o666)
        with _Hashing(content) as hashing:
            written = 0
            while written < len(content):
                written += os.write(descriptor, content[written : written + CHUNK_BYTES])
            os.fsync(descriptor)
    return Part(file, len(content), hashing.digest())


class _Hashing:
    """Hashes the content in a thread while the block writes it; hashlib releases the GIL."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._state = checksum()
        self._thread: threading.Thread | None = None
        self._stopped = self._done = False

    def __enter__(self) -> _Hashing:
        if len(self._content) >= HASHED_BESIDE_BYTES:
            thread = threading.Thread(target=self._run, name="store-checksum")
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # as the program ends no thread can be started any more
                pass
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopped = kind is not None
        if self._thread is not None:
            self._thread.join()

    def digest(self) -> str:
        if not self._done:  # there was no memory for a thread, or for its work
            self._state = checksum()
            self._run()
        digest: str = self._state.hexdigest()
        return digest

    def _run(self) -> None:
        for start in range(0, len(self._content), CHUNK_BYTES):
            if self._stopped:
                return
            self._state.update(self._content[start : start + CHUNK_BYTES])
        self._done = True
