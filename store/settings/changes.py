"""Callbacks for settings that change, whoever changes them: one thread per `Settings`, while there are callbacks."""

from __future__ import annotations

import copy
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from store.errors import StoreError
from store.system.file_status import no_thread
from store.watching.watch import Watch

Callback = Callable[[Any, Any], object]
Wait = Callable[[float], bool]


class Handle:
    """One callback. `stop()` ends it, and so does leaving it as a context manager."""

    def __init__(self, changes: Changes, field: str, callback: Callback) -> None:
        self.field, self.callback = field, callback
        self._changes = changes

    def stop(self) -> None:
        """No call begins after this; one that has begun in the watching thread ends by itself."""
        self._changes.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Changes:
    """Watches the store and calls back. Safe across threads.

    Args:
        watch: makes a watch of the store that gives what has changed so far, and does not wait.
        value_of: gives a field's value.
        interval: seconds between two looks.
        wait: waits for so many seconds, and returns True when it is time to end.
    """

    def __init__(
        self, watch: Callable[[], Watch[Any]], value_of: Callable[[str], Any], interval: float, wait: Wait | None
    ) -> None:
        self._new_watch, self._value_of, self._interval, self._wait = watch, value_of, interval, wait
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self.lock = threading.RLock()  # over the state below: never held while a callback runs
        self._handles: list[Handle] = []
        self._seen: dict[str, Any] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended: list[threading.Thread] = []

    def _forget_parent(self) -> None:
        """A forked child begins with no callbacks: the thread is not there, and the lock may be held for ever."""
        if self._process != os.getpid():
            self._begin()

    def add(self, field: str, callback: Callback) -> Handle:
        """Call back from now on, for every change that is made after this returns. Raises: StoreError."""
        self._forget_parent()
        handle = Handle(self, field, callback)
        with self.lock:
            is_running = self._thread is not None and self._thread.is_alive()  # an error may have ended it
            watch = None if is_running else self._new_watch()  # before the value: no change in between is missed
            try:
                if field not in self._seen:
                    self._seen[field] = self._value_of(field)
                self._handles.append(handle)
                if watch is not None:
                    self._start(watch)
            except BaseException:
                if watch is not None:
                    watch.close()
                self.remove(handle)
                raise
        return handle

    def remove(self, handle: Handle) -> None:
        """Stop calling that one; the thread ends with the last, and is not waited for: it may be calling back."""
        self._forget_parent()
        with self.lock:
            if handle in self._handles:
                self._handles.remove(handle)
            if handle.field not in [other.field for other in self._handles]:
                self._seen.pop(handle.field, None)
            if not self._handles:
                self._end()

    def close(self) -> None:
        """End all callbacks; waits for the thread, unless this is it."""
        self._forget_parent()
        with self.lock:
            self._handles.clear()
            self._seen.clear()
            self._end()
            ended, self._ended = self._ended, []
        for thread in ended:
            if thread is not threading.current_thread():
                thread.join()

    def _start(self, watch: Watch[Any]) -> None:
        self._stopping = threading.Event()  # one for each thread: an old one must not go on with a new one
        thread = threading.Thread(target=self._run, args=(watch, self._stopping), name="store-settings", daemon=True)
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

    def _run(self, watch: Watch[Any], stopping: threading.Event) -> None:
        wait, due = self._wait or stopping.wait, set(self._seen)  # a thread before this one may have missed changes
        with watch:
            while not wait(self._interval) and not stopping.is_set():
                try:
                    for field in sorted(due | _changed(watch)):
                        self._compare(field)
                except Exception:
                    if not stopping.is_set():
                        _report()  # the file is gone or was replaced
                    return
                due = set()

    def _compare(self, field: str) -> None:
        """Call back if the value of a field differs from the one that was seen last."""
        if field not in self._seen:
            return
        try:
            value = self._value_of(field)
        except (StoreError, ValueError, TypeError):  # reported once; the other fields go on
            _report()
            return
        with self.lock:
            old = self._seen.get(field)
            if field in self._seen:
                self._seen[field] = value
            handles = [handle for handle in self._handles if handle.field == field]
        if type(old) is type(value) and old == value:
            return
        for handle in handles:
            if handle in self._handles:  # the one before it may have stopped it
                try:
                    handle.callback(copy.deepcopy(old), copy.deepcopy(value))  # a callback may change its own copy
                except Exception:
                    _report()


def _changed(watch: Watch[Any]) -> set[str]:
    """The names of the records that have changed since the last call."""
    found: set[str] = set()
    for change in watch:
        if change.name in found:  # which has changed again: somebody writes all the time
            break
        found.add(change.name)
    return found


def _report() -> None:
    """Report the exception that is being handled as one that ends a thread."""
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
