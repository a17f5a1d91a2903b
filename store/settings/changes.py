"""Callbacks for settings that any process changes: one thread for each `Settings`, while it has callbacks."""

from __future__ import annotations

import copy
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Self

from store.errors import StorageError, StoreError
from store.system.file_status import no_thread
from store.watching.watch import Watch

Callback = Callable[[Any, Any], object]


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

    def __exit__(self, *_: object) -> None:
        self.stop()


class Changes:
    """Watches the store and calls back. Safe across threads.

    Args:
        watch: begins a watch of the store, which gives up waiting for a change now and then.
        value_of: gives a field's value.
    """

    def __init__(self, watch: Callable[[], Watch[Any]], value_of: Callable[[str], Any]) -> None:
        self._new_watch, self._value_of = watch, value_of
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self.lock = threading.RLock()  # over the state below: never held while a callback runs
        self._handles: list[Handle] = []
        self._seen: dict[str, Any] = {}
        self._due: set[str] = set()  # fields to compare at the next look, even if their records look unchanged
        self._refused: set[str] = set()  # fields whose unreadable record was reported
        self._failed: set[str] = set()  # fields that could not be read at their last turn, as the store failed
        self._watch: Watch[Any] | None = None
        self._threads: list[threading.Thread] = []  # the last one, and those before it that may not have ended yet

    def _forget_parent(self) -> None:
        """A forked child begins with no callbacks: the thread is not there, and the lock may be held for ever."""
        if self._process != os.getpid():
            self._begin()

    def add(self, field: str, callback: Callback) -> Handle:
        """Call back from now on, for every change that is made after this returns. Raises: StoreError."""
        self._forget_parent()
        handle = Handle(self, field, callback)
        with self.lock:
            try:
                is_new = self._watch is None or not self._threads[-1].is_alive()  # an error may have ended it
                if is_new:
                    self._watch, self._due = self._new_watch(), set(self._seen)
                if field not in self._seen:
                    self._seen[field] = self._value_of(field)
                    self._due.add(field)  # the watch may not know yet what this read
                self._handles.append(handle)
                if is_new:
                    self._start()
            except BaseException:
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
        """End all callbacks; waits for the threads, unless this is one of them."""
        self._forget_parent()
        with self.lock:
            self._handles.clear()
            self._seen.clear()
            self._end()
            ended, self._threads = self._threads, []
        for thread in ended:
            if thread is not threading.current_thread():
                thread.join()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, args=(self._watch,), name="store-settings", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            raise no_thread("settings that are watched for changes", exc) from exc
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _run(self, watch: Watch[Any]) -> None:
        try:
            while watch is self._watch:
                change = next(watch, None)
                with self.lock:
                    due, self._due = self._due, set()
                for field in sorted(due if change is None else due | {change.name}):
                    self._compare(field)
        except Exception:
            if watch is self._watch:
                _report()  # the file is gone or was replaced
        finally:
            watch.close()

    def _compare(self, field: str) -> None:
        """Call back if the value of a field differs from the one that was seen last."""
        if field not in self._seen:
            return
        try:
            value = self._value_of(field)
        except StorageError:
            self._retry(field)
            return
        except (StoreError, ValueError, TypeError):  # reported once, until it is good again; the other fields go on
            if field not in self._refused:
                self._refused.add(field)
                _report()
            return
        self._refused.discard(field)
        self._failed.discard(field)
        with self.lock:
            if field not in self._seen:
                return
            old, self._seen[field] = self._seen[field], value
            handles = [handle for handle in self._handles if handle.field == field]
        if type(old) is type(value) and old == value:
            return
        self._due.add(field)  # a record may be made and deleted between two looks, which see nothing of it
        for handle in handles:
            if handle in self._handles:  # the one before it may have stopped it
                try:
                    handle.callback(copy.deepcopy(old), copy.deepcopy(value))  # a callback may change its own copy
                except Exception:
                    _report()

    def _retry(self, field: str) -> None:
        """Read a field again after the next look, which raises if the store is gone: that is one error, not two."""
        self._due.add(field)
        if field in self._failed and field not in self._refused:
            self._refused.add(field)
            _report()
        self._failed.add(field)


def _report() -> None:
    """Report the exception that is being handled as one that ends a thread."""
    threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
