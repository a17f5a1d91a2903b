"""`Feed`: a thread that watches some records, for all streams that show them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.errors import StoreError
from store.watching.changes import Change
from store.watching.watch import Watch
from store.web.app.problems import log_mistake
from store.web.app.subscription import Subscription
from store.web.site import Site

MOST_RECORDS = 250_000  # a watch has a mark of each in memory, some 300 bytes


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records are watched: one name of a namespace, or all names that begin with `prefix`."""

    namespace: str
    prefix: str = ""
    name: str | None = None


class Feed:
    """Watches in a thread of its own, so that no event loop waits for a store; to be used from one event loop.

    Each change goes into the site's history, and to the subscriptions.
    """

    def __init__(self, site: Site, scope: Scope) -> None:
        self.is_stopped = False
        self._site = site
        self._scope = scope
        self._subscriptions: set[Subscription] = set()
        self._loop = asyncio.get_running_loop()
        self._watch: Watch[Any] | None = None
        self._is_watching = False
        self._thread = threading.Thread(target=self._run, name=f"watch {scope.namespace!r:.40}", daemon=True)
        self._thread.start()

    @property
    def is_used(self) -> bool:
        """Whether any stream shows its changes."""
        return bool(self._subscriptions)

    @property
    def is_alive(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def add(self, subscription: Subscription) -> None:
        """Send changes to a stream, from now on."""
        self._subscriptions.add(subscription)
        if self._is_watching:
            subscription.begin()

    def remove(self, subscription: Subscription) -> None:
        """Send no more changes to a stream."""
        self._subscriptions.discard(subscription)

    def stop(self, problem: str | None = None) -> None:
        """End the streams, and soon the thread; a second call does nothing. `problem` is why, for the streams."""
        if self.is_stopped:
            return
        self.is_stopped = True
        if (watch := self._watch) is not None:
            watch.close()
        for one in self._subscriptions:
            one.end(problem)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        """The thread."""
        try:
            self._watch_records()
        except (StoreError, ValueError) as exc:  # the store cannot be watched, or has no such namespace
            self._post(self.stop, str(exc))
        except Exception as exc:
            log_mistake(exc)
            self._post(self.stop, f"Watching was stopped by a {type(exc).__name__}, which the terminal shows.")
        finally:
            self._watch = None  # it has a mark of each record

    def _watch_records(self) -> None:
        scope = self._scope
        names = None if scope.name is None else [scope.name]
        with self._site.within(scope.namespace) as s:
            if names is None and len(s) > MOST_RECORDS:
                raise StoreError(
                    f"more than {MOST_RECORDS:,} records are not watched; reload the page to see changes"
                )
            with s.watch(names, scope.prefix) as watch:
                self._watch = watch
                if self.is_stopped:  # before there was a watch to close
                    return
                self._post(self._begin, None)
                for change in watch:
                    self._site.history.note(change.namespace, change.name, change.record, self._site.clock())
                    self._post(self._deliver, change)

    def _post(self, function: Callable[[Any], None], argument: object) -> None:
        """Call a function in the thread of the event loop."""
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:  # the loop has ended, and its streams with it
            pass

    def _begin(self, _: None) -> None:
        self._is_watching = True
        for one in self._subscriptions:
            one.begin()

    def _deliver(self, change: Change) -> None:
        for one in self._subscriptions:
            one.add(change)
