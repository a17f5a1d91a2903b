"""Files between being written and being named by a committed row."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from store.system import running
from store.system.descriptors import Descriptor

if TYPE_CHECKING:
    from store.engines.sqlite.engine.transaction import SqliteTransaction


class Pending:
    """Files that are written for a row which is yet to be committed. What it holds keeps compact() off them."""

    __slots__ = ("_held", "files", "is_stored", "name", "namespace", "thread", "transaction")

    def __init__(self, held: Descriptor, namespace: str, name: str) -> None:
        self._held: Descriptor | None = held
        self.namespace, self.name = namespace, name
        self.files: list[str] = []
        self.is_stored = False  # a row that names them was written, though not committed perhaps
        self.thread = running.ident()
        self.transaction: ref[SqliteTransaction] | None = None  # the outermost one that they were written in

    @property
    def folder(self) -> int:
        """The descriptor of the folder."""
        assert self._held is not None
        return self._held.number

    def release(self) -> None:
        """Its files are named, or gone. The lock goes with the last of those that are being written."""
        self._held = None

    def is_of(self, transaction: SqliteTransaction | None) -> bool:
        """Whether they were written in that transaction, the outermost one."""
        return transaction is not None and self.transaction is not None and self.transaction() is transaction
