"""`Lock`: what `Store.lock` returns."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any, Self

from store.engines.capabilities import Locks, NamedLock
from store.engines.registry import is_in_transaction, supported
from store.errors import LockTimeout, StoreError
from store.opened.arguments import check_timeout, new_name
from store.opened.namespace import Namespace

FOREVER_SECONDS = 1e9


class Lock:
    """A lock by name between threads and processes, for the program's own purposes.

    `with lock:` waits for the timeout of `Store.lock`, and raises `LockTimeout`. `acquire` and `release` are those
    of `threading.Lock`: another thread than the one that acquired it may release it. Safe across threads: several
    may wait for one object. The lock is held until it is released, the object is gone, or the process ends,
    however it ends (on a server, half a minute after that). After a fork the child does not hold it.

    Not reentrant: a thread that takes it twice by `with` gets a `StoreError`.
    """

    def __init__(self, ns: Namespace, name: str, timeout: float | None = None) -> None:
        seconds = ns.options.timeout if timeout is None else check_timeout(timeout)
        ns.check_open()
        self.name = new_name(name)
        """The name of the lock."""
        self._ns = ns
        self._seconds = seconds
        self._context: AbstractContextManager[NamedLock] | None = None
        self._held: NamedLock | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Takes the lock; returns whether it was to be had.

        Args:
            blocking: False: only if nobody holds it now.
            timeout: seconds to wait; -1 is for ever. Whatever it is, False is returned when it is over.

        Raises:
            StoreError: this thread is inside `edit` or `transaction` of any store, where waiting could deadlock; an
                attempt that does not wait may be made there. StoreClosed. ReadOnly, StorageError: the lock's file
                cannot be made.
        """
        seconds = seconds_to_wait(blocking, timeout)
        self._ns.check_open()
        if seconds:
            self._refuse_in_transaction()
        try:
            held = self._locks.take(self.name, seconds)
        except LockTimeout:
            return False
        self._held = held
        return True

    def release(self) -> None:
        """Gives the lock back, in whatever thread.

        Raises:
            StoreError: this object does not hold it, or has lost it: then others may have been inside meanwhile.
        """
        context, self._context = self._context, None
        held, self._held = self._held, None
        if held is None:
            raise StoreError(f"the lock {self.name!r} is not held by this object; acquire it first")
        was_kept = held.release()
        if context is not None:
            context.__exit__(None, None, None)
        if not was_kept:
            raise StoreError(
                f"the lock {self.name!r} was lost before it was released: its file was removed, its lease ended "
                "while the server could not be reached, or this is a forked child, where it is not held; others may "
                "have held it since"
            )

    def locked(self) -> bool:
        """Returns whether this object holds the lock. Whether others do, only `acquire` can tell."""
        held = self._held
        return held is not None and held.is_kept()

    @property
    def lost(self) -> bool:
        """Whether this object took the lock, and holds it no more although nobody released it."""
        held = self._held
        return held is not None and not held.is_kept()

    @property
    def fence(self) -> int | None:
        """A number that grows with each holder, by which a server can refuse an older one; None where none is needed.

        The lock of a file or of memory has none: it is lost only with its process. On a server a lock is a lease,
        which ends if this process cannot renew it.
        """
        held = self._held
        return None if held is None else held.fence

    def __enter__(self) -> Self:
        self._refuse_in_transaction()
        context = self._locks.hold(self.name, self._seconds)
        held: NamedLock | None = None
        try:
            held = context.__enter__()
            self._context, self._held = context, held
            return self
        except BaseException:  # an interrupt perhaps, whose traceback would keep the lock
            if held is not None and self._held is held:
                self._context = self._held = None
            context.__exit__(*sys.exc_info())
            raise

    def __exit__(self, *exc: Any) -> None:
        context, self._context, self._held = self._context, None, None
        if context is not None:  # else `release` was called inside
            context.__exit__(*exc)

    def __repr__(self) -> str:
        return f"<Lock {self.name!r}{' held' if self.locked() else ' lost' if self.lost else ''}>"

    @property
    def _locks(self) -> Locks:
        return supported(self._ns.engine.locks, self._ns.engine.kind, "named locks")

    def _refuse_in_transaction(self) -> None:
        if is_in_transaction():
            raise StoreError(
                f"lock({self.name!r}) inside edit or transaction could wait for a program that waits for this one: "
                "take the lock first, then begin the transaction"
            )


def seconds_to_wait(blocking: bool, timeout: float) -> float:
    """As `threading.Lock.acquire` takes them. Raises: TypeError, ValueError."""
    if timeout == -1 and not isinstance(timeout, bool):
        return FOREVER_SECONDS if blocking else 0
    if not blocking:
        raise ValueError("acquire(blocking=False) does not wait: give no timeout")
    return check_timeout(timeout)
