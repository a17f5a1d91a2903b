"""`Feed`: a thread that watches some records, for all streams that show them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from store.errors import StoreError
from store.watching.changes import Change
from store.web.app.problems import log_mistake
from store.web.app.sources import Scope, source_of
from store.web.app.subscription import Subscription
from store.web.site import Site


class Feed:
    """Watches in a thread of its own, so that no event loop waits for a store; to be used from one event loop."""

    def __init__(self, site: Site, scope: Scope) -> None:
        self.is_stopped = False
        self.pages = 0
        """How many pages are being made that a stream will follow."""
        self._source = source_of(site, scope)
        self._subscriptions: set[Subscription] = set()
        self._loop = asyncio.get_running_loop()
        self._is_watching = False
        self._thread = threading.Thread(target=self._run, name=f"watch {scope.namespace!r:.40}", daemon=True)
        self._thread.start()

    @property
    def is_used(self) -> bool:
        """Whether any stream shows its changes, or soon will."""
        return bool(self._subscriptions or self.pages)

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
        self._source.close()
        for one in self._subscriptions:
            one.end(problem)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        """The thread."""
        try:
            self._source.watch(partial(self._post, self._begin), partial(self._post, self._deliver))
        except (StoreError, ValueError) as exc:  # the store cannot be watched, or has no such namespace
            self._post(self.stop, str(exc))
        except Exception as exc:
            log_mistake(exc)
            self._post(self.stop, f"Watching was stopped by a {type(exc).__name__}, which the terminal shows.")

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function in the thread of the event loop."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has ended, and its streams with it
            pass

    def _begin(self) -> None:
        self._is_watching = True
        for one in self._subscriptions:
            one.begin()

    def _deliver(self, change: Change | str) -> None:
        for one in self._subscriptions:
            if isinstance(change, str):
                one.add_mark(change)
            else:
                one.add(change)
