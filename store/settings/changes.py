"""Callbacks for settings that change, whoever changes them: one thread per `Settings`, while there are callbacks.

It looks at the revisions of the records every so often: two changes between two looks are one, and the last state is
never missed.
"""

from __future__ import annotations

import copy
import os
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from store.errors import StoreError
from store.mapping.store import Store
from store.system.file_status import no_thread

Callback = Callable[[Any, Any], object]
Stamps = Mapping[str, object]


def stamps_of(store: Store[Any]) -> Stamps:
    """What changes when a record does, by name; a name that is missing has none. The one place that polls."""
    return {record.name: (record.created, record.version) for record in store.records()}


class Handle:
    """One callback; `stop()` ends it, and so does leaving it as a context manager."""

    def __init__(self, changes: Changes, field: str, callback: Callback) -> None:
        self.field = field
        self._changes, self._callback = changes, callback

    def stop(self) -> None:
        """No more calls begin after this; one that has begun in the watching thread ends by itself."""
        self._changes.remove(self)

    def call(self, old: Any, new: Any) -> None:
        """Call back; what it raises is reported as that of a thread is, and ends nothing."""
        try:
            self._callback(old, new)
        except Exception:
            report()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Changes:
    """Looks for changes and calls back. `value_of` gives a field's value; `wait` sleeps, True when it is time to end.

    Safe across threads.
    """

    def __init__(
        self,
        stamps: Callable[[], Stamps],
        value_of: Callable[[str], Any],
        interval: float,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._stamps, self._value_of, self._interval, self._wait = stamps, value_of, interval, wait
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()  # over the lists alone: never held while a callback runs
        self._handles: list[Handle] = []
        self._seen: dict[str, tuple[object, Any]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended: list[threading.Thread] = []

    def _forget_parent(self) -> None:
        """A forked child begins with no callbacks: the thread is not there, and the lock may be held for ever."""
        if self._process != os.getpid():
            self._begin()

    def add(self, field: str, callback: Callback) -> Handle:
        """Call back from now on: a change that is made after this returns is told. Raises: StoreError."""
        self._forget_parent()
        handle = Handle(self, field, callback)
        with self._lock:
            if field not in self._seen:
                stamp = self._stamps().get(field)  # before the value: what comes between is told once more
                self._seen[field] = stamp, self._value_of(field)
            self._handles.append(handle)
            try:
                if self._thread is None or not self._thread.is_alive():  # an error may have ended it
                    self._start()
            except StoreError:
                self.remove(handle)
                raise
        return handle

    def remove(self, handle: Handle) -> None:
        """Call that one no more; the thread ends with the last, and is not waited for: it may be calling back."""
        self._forget_parent()
        with self._lock:
            if handle in self._handles:
                self._handles.remove(handle)
            if handle.field not in [other.field for other in self._handles]:
                self._seen.pop(handle.field, None)
            if not self._handles:
                self._end()

    def close(self) -> None:
        """No more calls; waits for the thread, unless this is it."""
        self._forget_parent()
        with self._lock:
            self._handles.clear()
            self._seen.clear()
            self._end()
            ended, self._ended = self._ended, []
        for thread in ended:
            if thread is not threading.current_thread():
                thread.join()

    def look(self) -> None:
        """Find what has changed since the last look, and call back. Raises: StoreError: the store cannot be read."""
        stamps = self._stamps()
        with self._lock:
            due = [field for field, (stamp, _) in self._seen.items() if stamps.get(field) != stamp]
        for field in due:
            try:
                value = self._value_of(field)
            except (StoreError, ValueError, TypeError):  # one record cannot be read: told once, the rest goes on
                self._note(field, stamps.get(field))
                report()
                continue
            self._tell(field, stamps.get(field), value)

    def _tell(self, field: str, stamp: object, value: Any) -> None:
        with self._lock:
            if field not in self._seen:
                return
            old = self._seen[field][1]
            self._seen[field] = stamp, value
            handles = [handle for handle in self._handles if handle.field == field]
        if type(old) is type(value) and old == value:
            return
        for handle in handles:
            if handle in self._handles:  # one before it may have stopped it
                handle.call(copy.deepcopy(old), copy.deepcopy(value))  # what a callback changes is its own

    def _note(self, field: str, stamp: object) -> None:
        with self._lock:
            if field in self._seen:
                self._seen[field] = stamp, self._seen[field][1]

    def _start(self) -> None:
        self._stopping = threading.Event()  # one for each thread: an old one must not go on with a new one
        thread = threading.Thread(
            target=self._run, args=(self._stopping, self._wait or self._stopping.wait), name="store-settings",
            daemon=True,
        )  # fmt: skip
        try:
            thread.start()
        except RuntimeError as exc:
            raise no_thread("settings that are watched for changes", exc) from exc
        self._thread = thread

    def _end(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._ended.append(self._thread)
            self._thread = None

    def _run(self, stopping: threading.Event, wait: Callable[[float], bool]) -> None:
        while not wait(self._interval) and not stopping.is_set():
            try:
                self.look()
            except Exception:
                if not stopping.is_set():
                    report()  # the file is gone or was replaced: an error, and an end, not silence
                return


def report() -> None:
    """The exception that is being handled, as one that ends a thread is reported."""
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
