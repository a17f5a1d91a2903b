"""Files between being written and being named by a committed row, and the lock that they share."""

from __future__ import annotations

from typing import Any
from weakref import ref

from store.engines.sqlite.spill.folder import Folder, OpenFolder
from store.system import running


class SharedHold:
    """One lock on the folder, shared by all threads that write files. Safe across threads.

    It refers to the lock weakly, and the last reference releases it: there is no count that an interrupt could make
    wrong.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._last: ref[OpenFolder] | None = None

    def take(self, timeout: float) -> OpenFolder:
        """The lock, to be kept until the row that names the files is committed. Raises: as `Folder.hold`."""
        held = None if self._last is None else self._last()
        if held is None or not held.is_at(self._folder.path):
            held = self._folder.hold(timeout)
            self._last = ref(held)
        return held

    def close(self) -> None:
        """In a forked child: close the parent's lock, which this descriptor would keep after the parent's end."""
        held, self._last = None if self._last is None else self._last(), None
        if held is not None:
            held.close()


class Pending:
    """The files of a row that is not committed yet. The lock that it holds keeps `compact` from removing them."""

    __slots__ = ("_held", "files", "is_stored", "name", "namespace", "thread", "transaction")

    def __init__(self, held: OpenFolder, namespace: str, name: str) -> None:
        self._held: OpenFolder | None = held
        self.namespace, self.name = namespace, name
        self.files: list[str] = []
        self.is_stored = False  # whether a row that names them was written, perhaps not committed
        self.thread = running.ident()
        self.transaction: ref[Any] | None = None  # the outermost one that they were written in

    @property
    def folder(self) -> OpenFolder:
        """Their folder, borrowed."""
        assert self._held is not None
        return self._held.borrowed()

    def release(self) -> None:
        """Release the lock, once its files are committed or removed; it ends with the last pending files."""
        self._held = None

    def is_of(self, transaction: object) -> bool:
        """Whether they were written in that transaction, the outermost one."""
        return transaction is not None and self.transaction is not None and self.transaction() is transaction
