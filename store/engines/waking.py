"""The watches of a process on one server, and the thread that wakes them: for engines behind a network.

A wake only ends a wait early. One may be missing, so each watch looks by itself all the same.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from store.errors import StorageError
from store.system.file_status import no_thread
from store.system.refusals import advice

JOIN_SECONDS = 5.0

Wake = Callable[[], object]


class Watcher(NamedTuple):
    """What to call after commits in a namespace."""

    namespace: str
    wake: Wake


class Waking:
    """Safe across threads. The thread runs while there is a watch, and a forked child begins with none.

    `listen` is what the thread does: it waits for commits, and for bytes in the socket that it gets, which tell it to
    look at `is_wanted`. When that is False it calls `end`, with the mutex held since then, and returns.
    """

    def __init__(self, shown: str, listen: Callable[[socket.socket], None]) -> None:
        self._shown = shown
        self._listen = listen
        self.renew()

    def renew(self) -> None:
        """In a forked child: nothing is watched, and there is no thread."""
        self.mutex = threading.RLock()
        self.thread: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._watchers: dict[int, Watcher] = {}
        self._numbers = count()

    @property
    def is_wanted(self) -> bool:
        return bool(self._watchers)

    def namespaces(self) -> set[str]:
        """Those that are watched."""
        return {watcher.namespace for watcher in list(self._watchers.values())}

    def attach(self, namespace: str, wake: Wake) -> int:
        """Call `wake` soon after commits there, in another thread, until `detach` of the returned number.

        Raises: StorageError: that thread cannot be started.
        """
        with self.mutex:
            if self.thread is None:
                self._start()  # it waits for the mutex, and finds what to wake
            number = next(self._numbers)
            self._watchers[number] = Watcher(namespace, wake)
            return number

    def detach(self, number: int) -> None:
        """Call it no more; after the last one the thread ends. For finalizers too."""
        self._watchers.pop(number, None)
        if not self._watchers:
            self.ring()

    def has(self, number: int) -> bool:
        """Whether that one is attached. With the mutex held, the thread does not end while it is."""
        return number in self._watchers

    def wake(self, namespace: str | None = None) -> None:
        """Wake the watches of a namespace, or all."""
        for watcher in list(self._watchers.values()):
            if namespace is None or watcher.namespace == namespace:
                watcher.wake()

    def ring(self) -> None:
        """End the thread's wait."""
        bell = self._bell
        try:
            if bell is not None:
                bell.send(b"\0")
        except OSError:  # it was rung often already, or the thread has ended
            pass

    def end(self, ear: socket.socket) -> None:
        """The thread is about to return."""
        bell, self._bell, self.thread = self._bell, None, None
        ear.close()
        if bell is not None:
            bell.close()

    def close(self) -> None:
        """End the thread, and wait for that."""
        thread = self.thread
        self._watchers.clear()
        if thread is not None and thread is not threading.current_thread():
            self.ring()
            thread.join(JOIN_SECONDS)

    def _start(self) -> None:
        """Start the thread. Raises: StorageError: the system refuses it, or its descriptors."""
        try:
            ear, bell = socket.socketpair()
        except OSError as exc:
            why = advice(exc, "try again")
            raise StorageError(
                f"{self._shown} cannot be watched: {exc.strerror}; {why}", errno=exc.errno, path=self._shown
            ) from exc
        bell.setblocking(False)
        self._bell = bell
        self.thread = threading.Thread(target=self._listen, args=(ear,), name="store watching", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as exc:
            self._bell = self.thread = None
            ear.close()
            bell.close()
            raise no_thread(f"watching {self._shown}", exc) from exc


def poll(descriptors: Sequence[int], seconds: float) -> set[int]:
    """Those that have something to read, at the latest after so long."""
    polled = select.poll()
    for descriptor in descriptors:
        polled.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in polled.poll(seconds * 1000)}
