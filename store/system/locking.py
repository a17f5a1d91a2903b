"""The lock between threads and processes that every write of a store acquires.

One file because acquiring, waiting and releasing change the same fields under one mutex; the queue of threads, the
lock file, the pace of polling and the detection of deadlocks are in `turns`, `lock_file`, `backoff` and `deadlock`.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary, ref

from store.errors import InUse, LockTimeout
from store.system import backoff, forking, running
from store.system.backoff import AWAY_SECONDS, CHECK_SECONDS, FIRST_DELAY, LAST_DELAY, Backoff, Wait
from store.system.clock import steady_clock
from store.system.deadlock import LOOK_SECONDS, Waiting
from store.system.lock_file import LockFile
from store.system.turns import QUEUE_SECONDS, Ticket, Turns
from store.system.waits import Waits

GREENLET_DELAY = 0.002  # the longest between two attempts of a greenlet, which no other one wakes up

SUFFIX = ".lock"  # appended to the name of the locked file


class Hold:
    """The token of the lock's holder; the lock is released when the token is collected.

    An interrupt can come between any two steps of acquiring or releasing a lock. So the lock only refers weakly to
    its holder: a token that an exception dropped releases the lock by itself.
    """

    __slots__ = ("__weakref__", "carrier", "thread")

    def __init__(self, *, bound: bool = True) -> None:
        """`bound`: it belongs to the running thread or greenlet; otherwise any may release it."""
        self.thread = self.carrier = threading.get_ident() if bound else next(_nobody)
        if bound and "greenlet" in sys.modules:
            self.thread = running.ident()  # the carrier is shared by the greenlets of a thread


_nobody = itertools.count(-1, -1)  # numbers that no thread has: thread numbers are positive

_writer_locks: WeakValueDictionary[int, WriterLock] = WeakValueDictionary()


class WriterLock:
    """Mutual exclusion of the writers of one file: threads of this process, and other processes.

    Between threads ownership is a field under a mutex; between processes it is a lock on one descriptor of
    the lock file, acquired in a loop of our own. Not reentrant: transactions handle nesting. Without a path it
    excludes threads only. In a forked child it is not held, and the parent keeps its lock. Threads that hold one lock
    and wait for another detect deadlocks (`store.system.deadlock`).
    """

    def __init__(
        self,
        path: str | None,
        *,
        database: str | None = None,
        clock: Callable[[], float] = steady_clock,
        last_delay: float = LAST_DELAY,
        yield_processor: Callable[[], object] = backoff.yield_processor,
        is_named: bool = False,
        waits: Waits | None = None,
    ) -> None:
        self.path = path
        self.file = None if path is None else LockFile(path, database or path.removesuffix(SUFFIX), is_named=is_named)
        self.label = path or f":memory: {id(self)}"
        self.is_named = is_named  # a lock of the program, which is not checked for deadlocks
        self.holder: ref[Hold] | None = None
        """Its holder in this process, or the thread that is acquiring it; None: neither."""
        self.waits = waits or Waits()
        """The waits for it that had a time limit above 0."""
        self.looks: Callable[[float], object] | None = None
        """Called with the time after a release, every CHECK_SECONDS at most."""
        self._clock = clock
        self._yield_processor = yield_processor
        self._backoff = Backoff(last_delay)
        self._away_until: float | None = None  # this process lets others go first until then
        self._mutex = threading.RLock()  # only ever used by `with`, which an interrupt cannot split
        self._clean: Callable[[], None] | None = None
        self._dropped = self._on_dropped
        self._turns = Turns()
        self._line = b""
        _writer_locks[id(self)] = self

    def acquire(self, hold: Hold, clean: Callable[[], None], timeout: float) -> None:
        """Acquire the lock for `hold`, waiting up to `timeout` seconds; `clean` is called when it is released.

        Raises:
            LockTimeout: another holder kept it for that long, or waits for a lock of this thread (a deadlock).
            ReadOnly, StorageError: no lock file. StoreClosed.
        """
        try:
            away = 0.0 if self._away_until is None else self._stay_away(self._away_until, timeout)
            if not self._attempt(hold, clean):
                self._wait(hold, clean, timeout, away)
        except BaseException:
            self.release(hold)
            raise

    def release(self, hold: Hold) -> None:
        """Release the lock; does nothing if `hold` does not have it."""
        with self._mutex:
            if self.holder is not None and self.holder() is hold:
                self._unlock()

    def release_and_remove(self, hold: Hold) -> None:
        """Release the lock, and remove the lock file if possible."""
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
        """Publish the lock that the holder of this one waits for."""
        with self._mutex:  # the number of a closed descriptor may belong to another file now
            self._line = line
            if self.file is not None:
                self.file.write_line(line)

    def said(self) -> bytes:
        """The lock that the holder of this one, in any process, waits for."""
        with self._mutex:
            return self._line if self.file is None else self.file.read_line()

    def forget(self) -> None:
        """In a forked child: start anew, without unlocking what the parent holds."""
        self._mutex = threading.RLock()
        self._turns = Turns()
        self._backoff = Backoff(self._backoff.last_delay)
        self._away_until = None
        self.holder = self._clean = None
        self._line = b""
        if self.file is not None:
            self.file.close()

    def back_off(self, seconds: float) -> None:
        """Let other processes go first for so long: every thread that acquires the lock meanwhile sleeps."""
        self._away_until = self._clock() + seconds

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self.file is not None and self.file.is_closed

    def close(self) -> None:
        """Close the descriptor for good, and so release the lock."""
        with self._mutex:
            if self.file is not None:
                self.file.is_closed = True
                self.file.close()

    def _wait(self, hold: Hold, clean: Callable[[], None], timeout: float, away: float) -> None:
        held = [lock for lock in _known() if lock is not self and not lock.is_named and lock.is_of(hold.thread)]
        if any(lock.label == self.label for lock in held):
            raise LockTimeout(
                f"{self.path}: this thread keeps the lock already, in a transaction by another handle on the file, "
                "and would wait for itself: use that one, or leave its block first",
                path=self.path,
            )
        waiting = Waiting(self, held, _labelled) if held and not self.is_named else None
        begun = self._clock()
        try:
            self._wait_until(hold, clean, timeout, away, waiting)
        finally:
            if waiting is not None:
                waiting.end()
            if timeout > 0:
                self.waits.add(self._clock() - begun)

    def _wait_until(
        self, hold: Hold, clean: Callable[[], None], timeout: float, away: float, waiting: Waiting[WriterLock] | None
    ) -> None:
        looked = self._clock()
        deadline = looked + timeout - away
        ticket, delay, is_late = Ticket(hold.thread, looked), FIRST_DELAY, False
        wait: Wait | None = None  # for another process
        try:
            while not self._attempt(hold, clean, ticket, is_late):
                now = self._clock()
                if now >= deadline:
                    raise self._timed_out(timeout)
                if waiting is not None and now - looked >= LOOK_SECONDS:
                    looked = now
                    if waiting.look():
                        raise self._in_a_ring(waiting)
                if self._is_kept_elsewhere(hold):
                    wait = wait or self._backoff.begin(now)
                    self._pause_for_process(wait, now, deadline)
                elif self._is_polled(hold):
                    self._pause_for_greenlet(hold, min(delay, deadline - now))
                    delay, is_late = min(delay * 2, GREENLET_DELAY), ticket.is_late(now)
                else:
                    seconds = QUEUE_SECONDS if waiting is None else LOOK_SECONDS
                    is_late = not ticket.wake.wait(min(seconds, deadline - now))
                    ticket.wake.clear()
            if wait is not None:
                wait.end()
        finally:
            self._stop_waiting(ticket, wait)

    def _stop_waiting(self, ticket: Ticket, wait: Wait | None) -> None:
        with self._mutex:
            if wait is not None and wait.asks and self.file is not None:
                self.file.take_request()
            self._turns.leave(ticket)
            if self.holder is None:
                self._turns.wake()

    def _is_kept_elsewhere(self, hold: Hold) -> bool:
        """Whether this thread has the lock in this process, and waits for another process."""
        holder = self.holder
        return holder is not None and holder() is hold

    def _is_polled(self, hold: Hold) -> bool:
        """Whether to poll, since nobody wakes this one: it is a greenlet, or one of its thread has the lock."""
        return running.greenlet() is not None or self._is_beside(hold)

    def _is_beside(self, hold: Hold) -> bool:
        """Whether another greenlet of this thread has the lock."""
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
            lock.back_off(LOOK_SECONDS)  # so that the other waiter gets in
        return LockTimeout(
            f"{self.path or ':memory:'}: another writer keeps the lock, and waits for one that this "
            "thread keeps: leave the blocks and begin again, the transaction of "
            f"{waiting.advice()}, in this order wherever one is inside another",
            path=self.path,
        )

    def _pause_for_process(self, wait: Wait, now: float, deadline: float) -> None:
        """Sleep, or let others run, while another process has the lock."""
        seconds = wait.next(now)
        if wait.asks:
            with self._mutex:
                if self.file is not None:
                    self.file.request_turn()
        if seconds > 0:
            time.sleep(min(seconds, deadline - now))
        else:
            self._yield_processor()

    def _pause_for_greenlet(self, hold: Hold, seconds: float) -> None:
        """Sleep, and let other greenlets of this thread run: one may have the lock, or be the next to take it."""
        gevent, is_beside = sys.modules.get("gevent"), self._is_beside(hold)
        if gevent is not None and (is_beside or isinstance(running.greenlet(), getattr(gevent, "Greenlet", ()))):
            gevent.sleep(seconds)
        elif not is_beside:
            time.sleep(seconds)
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
                # This thread does not hold the lock in a live transaction, so a holder with its number was left by
                # an interrupt.
                if holder is not hold:
                    self._unlock()
            if self.holder is None:
                if self._turns.waiting and not self._turns.take(hold.thread, ticket, is_late=is_late):
                    if ticket is not None:
                        self._turns.join(ticket)
                    return False
                self._clean = clean
                self.holder = ref(hold, self._dropped)
            if self.file is None:
                return True
            if not self.file.lock():
                return False
            self._backoff.in_a_row += 1
            return True

    def _stay_away(self, until: float, timeout: float) -> float:
        """Sleep while others may go first, but no longer than `timeout`; returns for how long."""
        left = until - self._clock()
        if left <= 0:
            self._away_until = None
            return 0.0
        left = min(left, timeout)
        time.sleep(left)
        return left

    def _unlock(self) -> None:
        """Call the holder's `clean`, then let the next waiter in. Under the mutex."""
        clean = self._clean
        if clean is not None:
            clean()
        if self.file is not None:
            self.file.unlock()
        self.holder = self._clean = None
        if self._turns.waiting:
            self._turns.wake()
        if self.file is not None and (now := self._clock()) >= self._backoff.check_at:
            self._backoff.check_at = now + CHECK_SECONDS
            if self.file.take_request():
                self.back_off(AWAY_SECONDS)
            if self.looks is not None:
                self.looks(now)

    def _on_dropped(self, reference: ref[Hold]) -> None:
        with self._mutex:
            if self.holder is reference:
                self._unlock()


@contextmanager
def locked(path: str, timeout: float, *, remove: bool = False) -> Iterator[None]:
    """Holds a lock file for the block; `remove`: deletes it at the end. Raises: as `acquire`."""
    lock, hold = WriterLock(path), Hold()
    try:
        lock.acquire(hold, nothing, timeout)
        yield
    finally:
        (lock.release_and_remove if remove else lock.release)(hold)
        lock.close()


def nothing() -> None:
    """A `clean` for locks that guard no transaction: does nothing."""


def _known() -> list[WriterLock]:
    """All locks; listed by one C call, since other threads create and drop them."""
    return [lock for reference in _writer_locks.valuerefs() if (lock := reference()) is not None]


def _labelled(label: str) -> WriterLock | None:
    return next((lock for lock in _known() if lock.label == label and not lock.is_closed()), None)


def _forget_all() -> None:
    """In a forked child: forget all locks; unlocking through a copied descriptor would unlock the parent's."""
    for lock in _known():
        lock.forget()


forking.register(forking.Stage.LOCKS, in_child=_forget_all)
