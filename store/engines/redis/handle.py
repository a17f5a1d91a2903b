"""One handle on a location, the transactions of its threads, and the leases of their edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from weakref import ref

from store.engines.bodies import Bodies
from store.engines.contract import Applied, Change, Load, Reads
from store.engines.optimistic import Optimistic
from store.engines.overlay import Overlay
from store.engines.redis.changes import RedisChanges
from store.engines.redis.leases import EditLeases
from store.engines.redis.reading import Reading
from store.engines.redis.server import Server
from store.engines.redis.writing import Writing
from store.engines.transaction import HeldTransaction
from store.errors import Conflict, OutcomeUnknown, ReadOnly, StoreClosed
from store.system.locking import Hold

T = TypeVar("T")


class RedisBuffer:
    """The contract `Buffer`: a transaction has leases of the names that it reads before it writes them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._leases = EditLeases(server)
        self._optimistic: Optimistic | None = None
        self._committing: Committing | None = None
        self._overtaken: ref[Conflict] | None = None

    def begin(self, hold: Hold, timeout: float, undo: Callable[[], None]) -> Overlay:
        assert isinstance(hold, HeldTransaction)
        space, names = hold.scope
        found = {}
        if names is not None and isinstance(space, str):
            found = self._leases.take(space, names, timeout, hold)
        self._committing = Committing(self._server, self._leases.owner, timeout)
        self._optimistic = Optimistic(self._committing)
        self._optimistic.saw(str(space), found)
        return self._optimistic.view

    def commit(self, view: Overlay) -> None:
        assert self._optimistic is not None
        self._optimistic.commit()
        self._leases.ended_by_write([name for (_, name), (row, *_) in view.changes.items() if row is not None])

    def give(self, hold: Hold) -> None:
        if self._optimistic is not None:
            self._overtaken, self._optimistic = self._optimistic.overtaken, None
        self._leases.give_back()
        self._server.close_unused()  # the last handle may have been closed meanwhile

    def abandon(self) -> None:
        self._optimistic = None
        self._leases.give_back()

    def settle(self, timeout: float) -> None:
        committing, self._committing = self._committing, None
        if committing is not None and committing.problem is not None:
            raise committing.problem

    def check_open(self) -> None:
        if not self._server.handles:
            raise StoreClosed(f"{self._server.shown} is closed; open the store again")

    def must_restart(self, error: BaseException) -> bool:
        """Whether that error is the conflict by which the last transaction failed."""
        return self._overtaken is not None and self._overtaken() is error


def _always() -> None:
    """A transaction is open while it commits."""


class Committing(Reading):
    """The rows of the server as one transaction reads and changes them."""

    kind = "redis"

    def __init__(self, server: Server, owner: bytes, timeout: float) -> None:
        super().__init__(server)
        self.changes = RedisChanges(server, _always)
        self.problem: OutcomeUnknown | None = None
        self._writing = Writing(server)
        self._owner = owner
        self._timeout = timeout

    def apply_several(self, changes: Mapping[str, Sequence[Change | Load]]) -> None:
        self.problem = self._writing.commit_several(changes, self._owner, self._timeout)

    def apply(self, namespace: str, changes: Sequence[Change | Load], *, stamps: bool = False) -> Applied:
        applied, self.problem = self._writing.commit(namespace, changes, self._owner, self._timeout, stamps=stamps)
        return applied


class Handle:
    """One handle, shared by its engine and its capabilities."""

    def __init__(self, server: Server, *, read_only: bool, timeout: float) -> None:
        self.server = server
        self.location = server.shown
        self.read_only = read_only
        self.timeout = timeout
        self.bodies = Bodies()
        self._is_closed = False
        server.handles.add(self)

    def check_open(self, *, is_writing: bool = False) -> None:
        """Raises: StoreClosed: it was closed. ReadOnly."""
        if self._is_closed:
            raise StoreClosed(f"the store on {self.location} was closed; open it again")
        if is_writing and self.read_only:
            raise ReadOnly(
                f'{self.location} was opened with mode="r"; open it with mode="w" to write', path=self.location
            )

    def read(self, committed: Reads, work: Callable[[Reads], T]) -> T:
        """Call `work` with the rows that the caller sees: those of its transaction, or the committed ones."""
        self.check_open()
        return self.server.visitors.current().read(committed, work)

    def write(self, work: Callable[[Overlay], T], alone: Callable[[], T]) -> T:
        """Call `work` with the overlay of the caller's transaction; `alone` if there is none."""
        self.check_open(is_writing=True)
        return self.server.visitors.current().write(work, alone)

    def close(self) -> None:
        """Release the server; a second call does nothing."""
        self._is_closed = True
        self.bodies.keep_bytes(0)
        self.server.handles.discard(self)
        self.server.close_unused()
