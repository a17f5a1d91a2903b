"""The leases of a process on a server, and the thread that renews all of them."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID, uuid4
from weakref import WeakSet, ref

from store.errors import StoreError
from store.system.clock import awake_or_not
from store.system.file_status import no_thread
from store.system.yielding import Mutex, next_of

LEASE_SECONDS = 30.0  # by the server's clock
RENEWALS = 3  # attempts to renew a lease before it ends
RETRY_SECONDS = 1.0  # after a renewal that failed, at most
JOIN_SECONDS = 5.0
TIDY_EVERY = 500  # locks


_of_process: WeakSet[Leases[Any]] = WeakSet()


@atexit.register
def _release_all() -> None:
    """A program that ends without closing its stores leaves no lock to its lease."""
    for leases in list(_of_process):
        leases.close()


class Lease:
    """The exclusive right to a key of the server, for a while; `ends` is by this machine's clock, a little early.

    `names`: what of that key it is about, where it is not about all of it. `holder`: an object with which it ends.
    """

    def __init__(self, key: bytes, names: list[bytes] | None = None, holder: object = None) -> None:
        self.key = key
        self.names = names
        self.owner: UUID = uuid4()
        self.fence = 0
        self.ends = 0.0
        self._process = os.getpid()
        self._holder = None if holder is None else ref(holder)

    def call_when_left(self, order: Callable[[UUID], None]) -> None:
        """Call `order` with the owner once the holder is collected, unless the lease is dropped before."""
        holder, owner = None if self._holder is None else self._holder(), self.owner
        if holder is not None:
            self._holder = ref(holder, lambda _: order(owner))

    def is_own(self) -> bool:
        """Whether this process took it, not the one that it was forked from."""
        return self._process == os.getpid()

    def is_kept(self) -> bool:
        """Whether it lasts."""
        return awake_or_not() < self.ends and self.is_own()

    def is_left(self) -> bool:
        """Whether its holder was collected, as one that an interrupt ended."""
        return self._holder is not None and self._holder() is None


class Session(Protocol):
    """What the thread sends its statements by."""

    def close(self) -> None: ...


S = TypeVar("S", bound=Session)


class LeaseStatements(Protocol[S]):
    """How leases are renewed and released on one kind of server. The thread alone calls these."""

    where: str
    """The location, for messages."""

    def connect(self) -> S:
        """A session, whose connection is made when it is first needed, and again after it was lost."""

    def renew(self, session: S, leases: Sequence[Lease], seconds: float) -> Mapping[UUID, bool]:
        """By owner, whether the lease was kept, for so many seconds from now; those that are unknown are left out.

        Raises: StoreError: the server did not answer.
        """

    def release(self, session: S, leases: Sequence[Lease]) -> None:
        """Release those that are their owner's still. Raises: StoreError."""


class Leases(Generic[S]):
    """All leases of a process on one location. Safe across threads; a forked child begins with none.

    The thread has a session of its own: a pool whose connections are all in transactions must not cost a lock. It
    begins with the first lease, and ends when there has been none for a while.
    """

    def __init__(self, statements: LeaseStatements[S], seconds: float = LEASE_SECONDS) -> None:
        self.seconds = seconds
        """How long a lease lasts unless it is renewed."""
        self._statements = statements
        self.renew()
        _of_process.add(self)

    def renew(self) -> None:
        """In a forked child: hold nothing, and leave the parent's leases alone."""
        self.of_threads: set[tuple[str, int]] = set()
        """The locks that threads hold for a block: name, and the thread's number."""
        self._held: dict[UUID, Lease] = {}
        self._orders: SimpleQueue[Lease | UUID | threading.Thread] = SimpleQueue()  # which a finalizer may put into
        self._kept = 0
        self._mutex = Mutex()
        self._waiting: dict[int, threading.Event] = {}
        self._thread: threading.Thread | None = None

    def keep(self, lease: Lease) -> None:
        """Renew it from now on. Raises: StorageError: there is no thread that could."""
        with self._mutex:
            if self._thread is None:
                self._start()  # first: what nobody renews is not held
            lease.call_when_left(self._orders.put)
            self._held[lease.owner] = lease
            self._kept += 1

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="store leases", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._thread = None
            raise no_thread(f"named locks on {self._statements.where}", exc) from exc

    def is_time_to_tidy(self) -> bool:
        """Whether so many locks were taken since the last time that rows of unused names may be deleted."""
        if self._kept < TIDY_EVERY:
            return False
        self._kept = 0
        return True

    def forget(self, lease: Lease) -> None:
        """Renew it no more."""
        lease.ends = 0.0
        self._held.pop(lease.owner, None)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until a lease of this process is released."""
        event = threading.Event()
        self._waiting[id(event)] = event
        try:
            event.wait(seconds)
        finally:
            del self._waiting[id(event)]

    def wake(self) -> None:
        """End all waits: a lock may be free."""
        for event in list(self._waiting.values()):
            event.set()

    def drop(self, lease: Lease) -> None:
        """Have the thread release it soon; in a forked child, leave it to the parent. For finalizers, at any line."""
        if lease.is_own():
            self._orders.put(lease)  # first: a thread that has nothing left ends
        self.forget(lease)

    def attend(self) -> None:
        """Begin the thread if there is none, for a lease that was dropped before it was kept."""
        with self._mutex:
            if self._thread is None and not self._orders.empty():
                self._start()

    def close(self) -> None:
        """Release all, and end the thread: the last handle of the process is about to be closed."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._orders.put(thread)
            thread.join(JOIN_SECONDS)

    # -- in the thread

    def _run(self) -> None:
        orders, session, thread = self._orders, self._statements.connect(), threading.current_thread()
        pause = self.seconds / RENEWALS
        due = awake_or_not() + pause
        try:
            while True:
                try:
                    order = next_of(orders, max(0.0, due - awake_or_not()))
                except Empty:
                    if not self._held and self._has_ended():
                        return
                    due = awake_or_not() + (pause if self._renew(session) else min(pause, RETRY_SECONDS))
                else:
                    if isinstance(order, Lease):
                        self._release(session, [order])
                    elif isinstance(order, UUID):
                        left = self._held.get(order)
                        self._release(session, [] if left is None else [left])
                    elif order is thread:
                        with self._mutex:
                            self._thread = None
                        self._release(session, list(self._held.values()))
                        return
        finally:
            with self._mutex:
                if self._thread is thread:
                    self._thread = None
            session.close()

    def _has_ended(self) -> bool:
        with self._mutex:
            if self._held or not self._orders.empty():
                return False
            self._thread = None
            return True

    def _renew(self, session: S) -> bool:
        """Renew all leases. Returns whether the server answered; those that it does not know any more are lost."""
        self._release(session, [lease for lease in list(self._held.values()) if lease.is_left()])
        leases = list(self._held.values())
        ends = awake_or_not() + self.seconds  # before the server counts
        try:
            renewed = self._statements.renew(session, leases, self.seconds)
        except StoreError:
            return False
        for lease in leases:
            is_renewed = renewed.get(lease.owner)
            if is_renewed is False:
                self.forget(lease)
            elif is_renewed and lease.is_kept():  # one that had lapsed here has been reported as lost, and stays so
                lease.ends = ends
        return all(lease.owner in renewed for lease in leases)

    def _release(self, session: S, leases: Collection[Lease]) -> None:
        """Release them, if the server can be reached; else they end by themselves."""
        for lease in leases:
            self.forget(lease)
        if leases:
            try:
                self._statements.release(session, list(leases))
                self.wake()
            except StoreError:
                pass
