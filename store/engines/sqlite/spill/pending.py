"""Files between being written and being named by a committed row, and the lock that they share."""

from __future__ import annotations

from typing import Any
from weakref import ref

from store.engines.sqlite.spill.folder import Folder, OpenFolder
from store.system import running


class SharedHold:
    """Gives everyone who writes files of one folder the same lock on it, while there is one. Safe across threads.

    It refers to it weakly, and the lock goes with the last reference: no interrupt can come between counting a user
    and keeping what was counted.
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
        """In a forked child: the lock is the parent's, and would outlive it with this descriptor."""
        held, self._last = None if self._last is None else self._last(), None
        if held is not None:
            held.close()


class Pending:
    """Files that are written for a row which is yet to be committed. What it holds keeps compact() off them."""

    __slots__ = ("_held", "files", "is_stored", "name", "namespace", "thread", "transaction")

    def __init__(self, held: OpenFolder, namespace: str, name: str) -> None:
        self._held: OpenFolder | None = held
        self.namespace, self.name = namespace, name
        self.files: list[str] = []
        self.is_stored = False  # a row that names them was written, though not committed perhaps
        self.thread = running.ident()
        self.transaction: ref[Any] | None = None  # the outermost one that they were written in

    @property
    def folder(self) -> OpenFolder:
        """The folder that they are in, borrowed."""
        assert self._held is not None
        return self._held.borrowed()

    def release(self) -> None:
        """Its files are named, or gone. The lock goes with the last of those that are being written."""
        self._held = None

    def is_of(self, transaction: object) -> bool:
        """Whether they were written in that transaction, the outermost one."""
        return transaction is not None and self.transaction is not None and self.transaction() is transaction
