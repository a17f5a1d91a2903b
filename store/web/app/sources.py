"""What feeds take changes from: a watch of some records, or looks at the whole store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from store.errors import LockTimeout
from store.system.clock import steady_clock
from store.watching.changes import Change
from store.watching.watch import Watch
from store.web.site import Site

MOST_RECORDS = 10_000  # a watch has a mark of each in memory, some 300 bytes, and may compare them with each commit
LOOK_SECONDS = 1.0  # between two looks at the whole store, where nothing wakes earlier
LEAST_SECONDS = 0.25  # between two that are woken
REST = 20  # times the duration of a look to pause after it: one of very many namespaces takes long
MOST_SECONDS = 30.0  # of such a pause: a machine may only have been busy


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records are watched: one name of a namespace, or all names that begin with `prefix`.

    All records of all namespaces where `namespace` is None.
    """

    namespace: str | None
    prefix: str = ""
    name: str | None = None


WHOLE_STORE = Scope(None)

Deliver = Callable[[Change | str], None]
"""Takes a change of a record; or the mark of the store after some, of which it is not known what they were.

Of a namespace that is too large to be watched they may be changes elsewhere: its pages compare what they show.
"""


class Source(Protocol):
    """Where changes come from. Made in the event loop; `watch` runs in a thread of its own."""

    def watch(self, begin: Callable[[], None], deliver: Deliver) -> None:
        """Call `begin` once changes are noticed, and `deliver` with each until `close`.

        Raises: StoreError, ValueError: the store cannot be watched.
        """

    def close(self) -> None:
        """End `watch` soon. Any thread may call this."""


def source_of(site: Site, scope: Scope) -> Source:
    """The source of the changes of some records."""
    return StoreSource(site) if scope.namespace is None else RecordSource(site, scope, scope.namespace)


class RecordSource:
    """The records of one namespace. Each change goes into the site's history too."""

    def __init__(self, site: Site, scope: Scope, namespace: str) -> None:
        self._site = site
        self._scope = scope
        self._namespace = namespace
        self._watch: Watch[Any] | StoreSource | None = None
        self._is_closed = False

    def watch(self, begin: Callable[[], None], deliver: Deliver) -> None:
        try:
            self._run(begin, deliver)
        finally:
            self._watch = None  # it has a mark of each record

    def close(self) -> None:
        self._is_closed = True
        if (watch := self._watch) is not None:
            watch.close()

    def _run(self, begin: Callable[[], None], deliver: Deliver) -> None:
        scope, site = self._scope, self._site
        names = None if scope.name is None else [scope.name]
        with site.within(self._namespace) as s:
            if names is not None or len(s) <= MOST_RECORDS:
                with s.watch(names, scope.prefix) as watch:
                    if self._is_kept(watch):
                        begin()
                        for change in watch:
                            site.history.note(change.namespace, change.name, change.record, site.clock())
                            deliver(change)
                return
        commits = StoreSource(site)
        if not self._is_kept(commits):
            commits.close()
        commits.watch(begin, deliver)

    def _is_kept(self, watch: Watch[Any] | StoreSource) -> bool:
        """Keep a watch for `close`; False if that has been called already."""
        self._watch = watch
        return not self._is_closed


class StoreSource:
    """All records: only that something was committed. Marks of pages that are made while it lives are comparable."""

    def __init__(self, site: Site) -> None:
        self._commits = site.commits
        self._timeout = site.store.opened.options.timeout
        self._rest = 0.0  # seconds until the next look, however often it is woken
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._commits.use(self._woken.set)

    def watch(self, begin: Callable[[], None], deliver: Deliver) -> None:
        try:
            seen = self._look()
            if seen is None:
                return
            begin()
            while not self._closed.is_set():
                self._closed.wait(self._rest)
                self._woken.wait(max(0.0, LOOK_SECONDS - self._rest))
                self._woken.clear()  # before the look, so that a later commit wakes again
                mark = self._look()
                if mark is not None and mark != seen:
                    deliver(mark)
                    seen = mark
        finally:
            self._commits.leave(self._woken.set)

    def close(self) -> None:
        self._closed.set()
        self._woken.set()

    def _look(self) -> str | None:
        """The mark of the store, once it can be read; None after `close`."""
        end = steady_clock() + self._timeout
        while not self._closed.is_set():
            began = steady_clock()
            try:
                mark = self._commits.mark()
            except LockTimeout:
                if began >= end:
                    raise
                self._closed.wait(LOOK_SECONDS)
            else:
                self._rest = min(max(LEAST_SECONDS, REST * (steady_clock() - began)), MOST_SECONDS)
                return mark
        return None
