"""The lock between processes that every write of a store passes through.

filelock is imported with the first lock that is taken: it costs a reader 70–110 ms it has no use for.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary, ref

from store.errors import InUse, LockTimeout, ReadOnly, StorageError, StoreClosed, StoreError
from store.system import running
from store.system.clock import steady_clock
from store.system.deadlock import LINE_BYTES, LOOK_SECONDS, Waiting
from store.system.descriptors import Descriptor
from store.system.file_status import LOOK_AT_LOG, reaching
from store.system.refusals import advice
from store.system.rights import make_beside
from store.system.turns import QUEUE_SECONDS, Ticket, Turns

# Seconds between two attempts, doubled from the one to the other: filelock's own waiting sleeps 50 ms, and lost
# 17,284 to 1 against a process that never slept. With 8 writers and 2 readers on 2 cores, delays up to 0.5 ms woke so
# often that 1,200 writes a second were left of 8,000; delays up to 8 ms gave a fifth more writes, and a longest wait
# twice as long. What a write costs more than alone is the change of processes: each begins with cold caches.
FIRST_DELAY = 0.0001
LAST_DELAY = 0.002

SUFFIX = ".lock"  # behind the name of what is locked
ATTEMPTS = 100  # to open a lock file that others remove


class Hold:
    """The token of whoever holds the writer's lock; the lock is given back when the token is gone.

    An interrupt can strike between any two steps of taking or giving a lock. So the lock only refers
    weakly to its holder: a token that an exception dropped on the way releases the lock by itself.
    """

    __slots__ = ("__weakref__", "carrier", "thread")

    def __init__(self, *, bound: bool = True) -> None:
        """`bound`: to the thread or greenlet that runs; else to none, and any may give it back."""
        self.thread = running.ident() if bound else next(_nobody)
        self.carrier = threading.get_ident() if bound else self.thread  # shared by the greenlets of a thread


_nobody = itertools.count(-1, -1)  # numbers that no thread has: these are positive

_READ_REMEDY = 'to read only, open the store with mode="r"'
NAMED_REMEDY = "a named lock is a file beside the store: have its owner allow this user to make it, and try again"

_writer_locks: WeakValueDictionary[int, WriterLock] = WeakValueDictionary()
_NO_SURPRISE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # by a link, nor by a pipe
_LINE_AT = 1  # in the lock file: Windows lets nobody read the byte that is locked, the first


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
    ) -> None:
        self.path = path
        self._database = database or (path or "").removesuffix(SUFFIX)  # whose mode and group the lock file gets
        self._last_delay = last_delay
        self.label = path or f":memory: {id(self)}"
        self.is_named = False  # one of the program's own, which are not looked at for rings
        self._clock = clock
        self._mutex = threading.RLock()  # only ever used by `with`, which an interrupt cannot split
        self.holder: ref[Hold] | None = None
        """Who has it in this process, or is about to; None: nobody."""
        self._clean: Callable[[], None] | None = None
        self._descriptor: int | None = None
        self._opened: Descriptor | None = None  # whose it is
        self._inode = (0, 0)  # device and inode of the descriptor
        self._flock: Callable[..., bool] = _never
        self._funlock: Callable[[int], Any] = _never
        self._dropped = self._on_dropped
        self._closed = False
        self._turns = Turns()
        self._line = b""
        self._gives_way = False  # to whoever waits for it, before it is taken again
        self.folder: Callable[[], int | None] | None = None
        """What the folder of the lock file is known by while no name in it changes; None: look at the lock file."""
        self.seen: int | None = None
        """What that was when the lock was last taken."""
        self._good: int | None = None  # and when the lock file was last looked at
        _writer_locks[id(self)] = self

    def acquire(self, hold: Hold, clean: Callable[[], None], timeout: float) -> None:
        """Take the lock for `hold`, waiting up to `timeout` seconds; `clean` undoes what it leaves behind.

        Raises:
            LockTimeout: somebody else kept it for that long, or would for ever, waiting for a lock of this thread's.
            ReadOnly, StorageError: no lock file. StoreClosed.
        """
        try:
            if self._gives_way:
                self._give_way(timeout)
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
        """The same, and the lock file goes: those who wait for it see that, and make another.

        Where it cannot be removed it stays, which does no harm.
        """
        with self._mutex:
            if self.holder is not None and self.holder() is hold:
                with suppress(OSError):
                    if self._is_in_place():
                        os.unlink(self.path)  # type: ignore[arg-type]
                self._unlock()
                self._close()

    def is_kept_by(self, hold: Hold) -> bool:
        """Whether `hold` has the lock, and the lock file is in its place, so that it excludes others."""
        with self._mutex:
            if self.holder is None or self.holder() is not hold:
                return False
            try:
                return self.path is None or self._is_in_place()
            except OSError:
                return False

    def is_mine(self) -> bool:
        """Whether this thread has the lock, be it by what an interrupt left."""
        return self.is_of(running.ident())

    def is_of(self, thread: int) -> bool:
        """Whether that thread has it."""
        holder = self.holder
        hold = None if holder is None else holder()
        return hold is not None and hold.thread == thread

    def say(self, line: bytes) -> None:
        """Tell whoever waits for this lock what its holder waits for; if that fails, they have their timeout."""
        with self._mutex:  # a descriptor that was closed may be another file's by now
            self._line = line
            if self._descriptor is not None:
                with suppress(OSError):
                    os.pwrite(self._descriptor, line, _LINE_AT)

    def said(self) -> bytes:
        """What the holder of this lock, in whatever process, waits for."""
        with self._mutex:
            if self.path is None:
                return self._line
            with suppress(OSError):
                if self._descriptor is not None:
                    return os.pread(self._descriptor, LINE_BYTES, _LINE_AT)
                # A store that this process has open, and has not written to yet.
                with Descriptor(self.path, os.O_RDONLY | os.O_CLOEXEC | _NO_SURPRISE) as descriptor:
                    return os.pread(descriptor, LINE_BYTES, _LINE_AT)
            return b""

    def forget(self) -> None:
        """In a forked child: start anew, without unlocking what the parent holds."""
        self._mutex = threading.RLock()
        self._turns = Turns()
        self.holder = self._clean = None
        self._line = b""
        self._close()

    def close(self) -> None:
        """Give up the descriptor, and with it the lock, for good."""
        with self._mutex:
            self._closed = True
            self._close()

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
            lock._gives_way = True
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

    def _give_way(self, timeout: float) -> None:
        """Who gave up for another one and begins again at once would be faster than the other's next attempt."""
        self._gives_way = False
        time.sleep(min(timeout, LOOK_SECONDS))

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
            return self.path is None or self._lock_file()

    def _lock_file(self) -> bool:
        """One attempt at the lock file. A file that was deleted or replaced under us excludes nobody."""
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = self._open()
        try:
            if not self._flock(descriptor, blocking=False):
                return False
        except OSError as exc:
            raise unlockable(self.path, exc) from exc
        self.seen = None if self.folder is None else self.folder()
        if self.seen is not None and self.seen == self._good:
            return True
        try:
            if self._is_in_place():
                self._good = self.seen
                return True
        except OSError as exc:
            raise unlockable(self.path, exc) from exc
        self._close()
        return False

    def _is_in_place(self) -> bool:
        """Whether the file that is open is the one at the path."""
        if self.path is None or self._descriptor is None:
            return False
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._inode == (status.st_dev, status.st_ino)

    def _open(self) -> int:
        assert self.path is not None
        with reaching(self.path):
            from filelock import lock_descriptor, unlock_descriptor

        if self._closed:
            raise StoreClosed(f"{self.path}: the store was closed while a writer waited; open it again")
        self._flock, self._funlock = lock_descriptor, unlock_descriptor
        try:
            self._opened = self._made_or_there(self.path)
        except OSError as exc:
            what = "the file of a named lock" if self.is_named else "the lock file"
            raise unopenable(self.path, exc, what, NAMED_REMEDY if self.is_named else _READ_REMEDY) from exc
        try:
            status = os.fstat(self._opened.number)
        except OSError as exc:
            self._close()
            raise unlockable(self.path, exc) from exc
        if not stat.S_ISREG(status.st_mode):
            self._close()
            raise StorageError(
                f"{self.path} is no regular file, and no lock; move it away, and try again",
                errno=errno.EINVAL,
                path=self.path,
            )
        self._inode = (status.st_dev, status.st_ino)
        self._descriptor = self._opened.number
        return self._descriptor

    def _made_or_there(self, path: str) -> Descriptor:
        flags = os.O_RDWR | os.O_CLOEXEC | _NO_SURPRISE
        for _ in range(ATTEMPTS):
            make_beside(path, self._database)
            try:
                return Descriptor(path, flags)
            except FileNotFoundError:  # its holder removed it in between
                continue
        return Descriptor(path, flags)

    def _unlock(self) -> None:
        """Undo what the holder left, then let the next one in. Under the mutex."""
        clean = self._clean
        if clean is not None:
            clean()
        if self._descriptor is not None:
            try:
                self._funlock(self._descriptor)
            except OSError:  # closed, it is unlocked as well, and what was written was written
                self._close()
        self.holder = self._clean = None
        if self._turns.waiting:
            self._turns.wake()

    def _on_dropped(self, reference: ref[Hold]) -> None:
        with self._mutex:
            if self.holder is reference:
                self._unlock()

    def _close(self) -> None:
        self._descriptor = self._good = None
        if self._opened is not None:
            self._opened.close()


def unopenable(path: str, exc: OSError, what: str, read_only: str) -> StoreError:
    """The error of ours for a lock file, or its folder, that cannot be made; `read_only`: what to do if forbidden."""
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnly(f"{path}: cannot make {what} ({exc.strerror}); {read_only}", path=path)
    otherwise = "see what stands there, if the disk is full, or if its folder was moved, and open the store again"
    return StorageError(
        f"{path}: cannot open {what}: {exc.strerror}; {advice(exc, otherwise)}",
        errno=exc.errno,
        path=path,
    )


def unlockable(path: str | None, exc: OSError) -> StorageError:
    """The error of ours for a file that the system does not lock, or unlock."""
    return StorageError(
        f"{path}: cannot be locked or unlocked: {exc.strerror}; {advice(exc, LOOK_AT_LOG)}",
        errno=exc.errno,
        path=path,
    )


def nothing() -> None:
    """What a lock that guards no transaction has to undo."""


def _never(*_: Any, **__: Any) -> bool:
    raise AssertionError("no descriptor was opened")


def _known() -> list[WriterLock]:
    """All that there are; listed by one C call, since other threads make and drop them."""
    return [lock for reference in _writer_locks.valuerefs() if (lock := reference()) is not None]


def _labelled(label: str) -> WriterLock | None:
    return next((lock for lock in _known() if lock.label == label and not lock._closed), None)


def _forget_all() -> None:
    """In a forked child: the descriptors are copies, and an unlock through one would be the parent's too."""
    for lock in _known():
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
