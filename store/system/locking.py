"""The lock between processes that every write of a store passes through."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary, ref

from store.errors import InUse, LockTimeout
from store.system import forking, running
from store.system.clock import steady_clock
from store.system.deadlock import LOOK_SECONDS, Waiting
from store.system.lock_file import LockFile
from store.system.turns import QUEUE_SECONDS, Ticket, Turns

# Seconds between two attempts, doubled from the one to the other: filelock's own waiting sleeps 50 ms, and lost
# 17,284 to 1 against a process that never slept. With 8 writers and 2 readers on 2 cores, delays up to 0.5 ms woke so
# often that 1,200 writes a second were left of 8,000; delays up to 8 ms gave a fifth more writes, and a longest wait
# twice as long. What a write costs more than alone is the change of processes: each begins with cold caches.
FIRST_DELAY = 0.0001
LAST_DELAY = 0.002

SUFFIX = ".lock"  # behind the name of what is locked


class Hold:
    """The token of the lock's holder; the lock is given back when the token is gone.

    An interrupt can strike between any two steps of taking or giving a lock. So the lock only refers
    weakly to its holder: a token that an exception dropped on the way releases the lock by itself.
    """

    __slots__ = ("__weakref__", "carrier", "thread")

    def __init__(self, *, bound: bool = True) -> None:
        """`bound`: to the thread or greenlet that runs; else to none, and any may give it back."""
        self.thread = running.ident() if bound else next(_nobody)
        self.carrier = threading.get_ident() if bound else self.thread  # shared by the greenlets of a thread


_nobody = itertools.count(-1, -1)  # numbers that no thread has: those are positive

_writer_locks: WeakValueDictionary[int, WriterLock] = WeakValueDictionary()


class WriterLock:
    """Mutual exclusion of the writers of one file: threads of this process, and other processes.

    Between threads ownership is a field under a mutex; between processes it is a lock on one descriptor of
    the lock file, taken in a loop of our own. Not reentrant: nesting is the business of transactions.
    Without a path it excludes threads only. In a forked child nobody holds it, and the parent's stands.
    Threads that hold one and wait for another's find out where they would wait for ever (`store.system.deadlock`).
    """

    def __init__(
        self,
        path: str | None,
        *,
        database: str | None = None,
        clock: Callable[[], float] = steady_clock,
        last_delay: float = LAST_DELAY,
        is_named: bool = False,
    ) -> None:
        self.path = path
        self.file = None if path is None else LockFile(path, database or path.removesuffix(SUFFIX), is_named=is_named)
        self.label = path or f":memory: {id(self)}"
        self.is_named = is_named  # a lock of the program's own, which is not looked at for rings
        self.holder: ref[Hold] | None = None
        """Who has it in this process, or is about to; None: nobody."""
        self.yields = False
        """Whether it gives way to other waiters before it is taken again."""
        self._last_delay = last_delay
        self._clock = clock
        self._mutex = threading.RLock()  # only ever used by `with`, which an interrupt cannot split
        self._clean: Callable[[], None] | None = None
        self._dropped = self._on_dropped
        self._turns = Turns()
        self._line = b""
        _writer_locks[id(self)] = self

    def acquire(self, hold: Hold, clean: Callable[[], None], timeout: float) -> None:
        """Take the lock for `hold`, waiting up to `timeout` seconds; `clean` undoes what it leaves behind.

        Raises:
            LockTimeout: somebody else kept it for that long, or would for ever, waiting for a lock of this thread's.
            ReadOnly, StorageError: no lock file. StoreClosed.
        """
        try:
            if self.yields:  # back off, so that the other waiter gets in
                self.yields = False
                time.sleep(min(timeout, LOOK_SECONDS))
            if self._attempt(hold, clean):
                return
            self._wait(hold, clean, timeout)
        except BaseException:
            self.release(hold)
            raise

    def release(self, hold: Hold) -> None:
        """Give the lock back; nothing happens where `hold` does not have it."""
        with self._mutex:
            if self.holder is not None and self.holder() is hold:
                self._unlock()

    def release_and_remove(self, hold: Hold) -> None:
        """The same, and the lock file is removed, where it can be."""
        with self._mutex:
            if self.holder is not None and self.holder() is hold:
                if self.file is not None:
                    self.file.remove()
                self._unlock()
                if self.file is not None:
                    self.file.close()

    def is_kept_by(self, hold: Hold) -> bool:
        """Whether `hold` has the lock, and the lock file is in its place, so that it excludes others."""
        with self._mutex:
            if self.holder is None or self.holder() is not hold:
                return False
            try:
                return self.file is None or self.file.is_in_place()
            except OSError:
                return False

    def is_mine(self) -> bool:
        """Whether this thread holds the lock, including one leaked by an interrupt."""
        return self.is_of(running.ident())

    def is_of(self, thread: int) -> bool:
        """Whether that thread holds it."""
        holder = self.holder
        hold = None if holder is None else holder()
        return hold is not None and hold.thread == thread

    def say(self, line: bytes) -> None:
        """Tell other waiters what the holder of this lock waits for."""
        with self._mutex:  # a descriptor that was closed may be another file's by now
            self._line = line
            if self.file is not None:
                self.file.write_line(line)

    def said(self) -> bytes:
        """What the holder of this lock, in any process, waits for."""
        with self._mutex:
            return self._line if self.file is None else self.file.read_line()

    def forget(self) -> None:
        """In a forked child: start anew, without unlocking what the parent holds."""
        self._mutex = threading.RLock()
        self._turns = Turns()
        self.holder = self._clean = None
        self._line = b""
        if self.file is not None:
            self.file.close()

    def is_closed(self) -> bool:
        """Whether it was given up for good."""
        return self.file is not None and self.file.is_closed

    def close(self) -> None:
        """Give up the descriptor, and with it the lock, for good."""
        with self._mutex:
            if self.file is not None:
                self.file.is_closed = True
                self.file.close()

    def _wait(self, hold: Hold, clean: Callable[[], None], timeout: float) -> None:
        held = [lock for lock in _known() if lock is not self and not lock.is_named and lock.is_of(hold.thread)]
        if any(lock.label == self.label for lock in held):
            raise LockTimeout(
                f"{self.path}: this thread keeps the lock already, in a transaction by another handle on the file, "
                "and would wait for itself: use that one, or leave its block first",
                path=self.path,
            )
        waiting = Waiting(self, held, _labelled) if held and not self.is_named else None
        try:
            self._wait_until(hold, clean, timeout, waiting)
        finally:
            if waiting is not None:
                waiting.end()

    def _wait_until(
        self, hold: Hold, clean: Callable[[], None], timeout: float, waiting: Waiting[WriterLock] | None
    ) -> None:
        looked = self._clock()
        deadline = looked + timeout
        ticket, delay, is_late = Ticket(hold.thread), FIRST_DELAY, False
        try:
            while not self._attempt(hold, clean, ticket, is_late):
                now = self._clock()
                if now >= deadline:
                    raise self._timed_out(timeout)
                if waiting is not None and now - looked >= LOOK_SECONDS:
                    looked = now
                    if waiting.look():
                        raise self._in_a_ring(waiting)
                if self._is_polled(hold):
                    self._pause(hold, min(delay, deadline - now))
                    delay, is_late = min(delay * 2, self._last_delay), True
                else:
                    seconds = QUEUE_SECONDS if waiting is None else LOOK_SECONDS
                    is_late = not ticket.wake.wait(min(seconds, deadline - now))
                    ticket.wake.clear()
        finally:
            with self._mutex:
                self._turns.leave(ticket)
                if self.holder is None:
                    self._turns.wake()

    def _is_polled(self, hold: Hold) -> bool:
        """Whether no thread will tell: another process has the lock, or a greenlet waits that shares its thread."""
        holder = self.holder
        return (holder is not None and holder() is hold) or running.greenlet() is not None or self._is_beside(hold)

    def _is_beside(self, hold: Hold) -> bool:
        """Whether another greenlet of this very thread has the lock."""
        holder = self.holder
        other = None if holder is None else holder()
        return other is not None and other.thread != hold.thread and other.carrier == hold.carrier

    def _timed_out(self, timeout: float) -> LockTimeout:
        return LockTimeout(
            f"{self.path or ':memory:'}: another writer kept the lock for {timeout:g} seconds; "
            "try again, shorten its transactions, or open the store with a longer timeout",
            path=self.path,
        )

    def _in_a_ring(self, waiting: Waiting[WriterLock]) -> LockTimeout:
        for lock in waiting.held:
            lock.yields = True
        return LockTimeout(
            f"{self.path or ':memory:'}: another writer keeps the lock, and waits for one that this "
            "thread keeps: leave the blocks and begin again, the transaction of "
            f"{waiting.advice()}, in this order wherever one is inside another",
            path=self.path,
        )

    def _pause(self, hold: Hold, seconds: float) -> None:
        """Let others go on: where another greenlet of this very thread has the lock, that one."""
        if not self._is_beside(hold):
            time.sleep(seconds)
        elif "gevent" in sys.modules:
            sys.modules["gevent"].sleep(seconds)
        else:
            raise InUse(
                f"{self.path or ':memory:'}: another greenlet of this thread keeps the lock, in a block that it has "
                "not left, and cannot go on while this one waits; leave the block before you switch greenlets",
                path=self.path,
            )

    def _attempt(
        self, hold: Hold, clean: Callable[[], None], ticket: Ticket | None = None, is_late: bool = False
    ) -> bool:
        with self._mutex:
            if self.holder is not None:
                holder = self.holder()
                if holder is not None and holder.thread != hold.thread:
                    if ticket is not None:
                        self._turns.join(ticket)
                    return False
                # A thread that comes here does not hold the lock in any live transaction: what bears its
                # name is the leftover of an interrupt.
                if holder is not hold:
                    self._unlock()
            if self.holder is None:
                if self._turns.waiting and not self._turns.take(hold.thread, ticket, is_late=is_late):
                    if ticket is not None:
                        self._turns.join(ticket)
                    return False
                self._clean = clean
                self.holder = ref(hold, self._dropped)
            return self.file is None or self.file.lock()

    def _unlock(self) -> None:
        """Undo what the holder left, then let the next one in. Under the mutex."""
        clean = self._clean
        if clean is not None:
            clean()
        if self.file is not None:
            self.file.unlock()
        self.holder = self._clean = None
        if self._turns.waiting:
            self._turns.wake()

    def _on_dropped(self, reference: ref[Hold]) -> None:
        with self._mutex:
            if self.holder is reference:
                self._unlock()


@contextmanager
def locked(path: str, timeout: float, *, remove: bool = False) -> Iterator[None]:
    """Holds a lock file for the length of the block; it is removed at its end if asked. Raises: as `acquire`."""
    lock, hold = WriterLock(path), Hold()
    try:
        lock.acquire(hold, nothing, timeout)
        yield
    finally:
        (lock.release_and_remove if remove else lock.release)(hold)
        lock.close()


def nothing() -> None:
    """What a lock that guards no transaction has to undo."""


def _known() -> list[WriterLock]:
    """All that there are; listed by one C call, since other threads make and drop them."""
    return [lock for reference in _writer_locks.valuerefs() if (lock := reference()) is not None]


def _labelled(label: str) -> WriterLock | None:
    return next((lock for lock in _known() if lock.label == label and not lock.is_closed()), None)


def _forget_all() -> None:
    """In a forked child: the descriptors are copies, and an unlock through one would be the parent's too."""
    for lock in _known():
        lock.forget()


forking.register(forking.Stage.LOCKS, in_child=_forget_all)
