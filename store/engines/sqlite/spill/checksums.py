"""The checksums of the files of one record, computed beside the writing of the files."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from store.rows.spilled import checksum

CHUNK_BYTES = 8 * 1024 * 1024  # between two looks whether the writing was given up
BESIDE_BYTES = 4 * 1024 * 1024  # contents that are smaller together are hashed after they are written


class Checksums:
    """Hashes contents in a thread while the block writes them; hashlib releases the GIL.

    The thread has ended when the block is left. For use by one thread.
    """

    def __init__(self, contents: Sequence[memoryview]) -> None:
        self._contents = contents
        self._found: list[str] = []
        self._given_up = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Checksums:
        if sum(map(len, self._contents)) >= BESIDE_BYTES:
            checksum()  # loads hashlib, whose error must not end in the thread
            self._thread = threading.Thread(target=self._run, name="store-checksum")
            try:
                self._thread.start()
            except RuntimeError:  # as the program ends no thread can be started any more
                self._thread = None
            except BaseException:
                self._given_up = True  # it may be running: it ends by itself
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stop()
        elif self._thread is not None:
            try:
                self._thread.join()
            except BaseException:
                self._stop()
                raise

    def found(self) -> list[str]:
        """The checksum of each content, once the block is left."""
        while len(self._found) < len(self._contents):  # there was no memory for the thread, or in it
            self._hash_next()
        return self._found

    def _stop(self) -> None:
        self._given_up = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while len(self._found) < len(self._contents) and not self._given_up:
            self._hash_next()

    def _hash_next(self) -> None:
        content, state = self._contents[len(self._found)], checksum()
        for start in range(0, len(content), CHUNK_BYTES):
            if self._given_up:
                return
            state.update(content[start : start + CHUNK_BYTES])
        self._found.append(state.hexdigest())
