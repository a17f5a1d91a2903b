"""`Feeds`: what the streams of one server watch. Streams of the same records share one watch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.web.app.feed import Feed
from store.web.app.sources import Scope
from store.web.app.subscription import Subscription
from store.web.site import Site

MOST_STREAMS = 32
# A browser has six connections with a server. If events took all of them, pages would wait for ever.
MOST_OF_CLIENT = 4
MOST_WATCHES = 48  # each has a thread and a connection; those that linger end earlier where there are as many
LINGER_SECONDS = 5.0  # the next page mostly shows the same records
JOIN_SECONDS = 10.0


class TooManyStreams(Exception):
    """There are as many streams as are permitted."""


class Feeds:
    """The watches that streams need, begun and ended as streams come and go. To be used from one event loop."""

    def __init__(self, site: Site, linger: float = LINGER_SECONDS) -> None:
        self._site = site
        self._linger = linger
        self._feeds: dict[Scope, Feed] = {}
        self._started: list[Feed] = []
        self._clients: Counter[str] = Counter()
        self._is_closed = False

    @asynccontextmanager
    async def subscribed(self, scope: Scope, client: str, seen: str | None = None) -> AsyncIterator[Subscription]:
        """The changes of some records, for a stream of that client; `seen` as in `Subscription`.

        Raises: TooManyStreams.
        """
        if self._is_closed or self._clients.total() >= MOST_STREAMS or self._clients[client] >= MOST_OF_CLIENT:
            raise TooManyStreams
        feed, subscription = self._feed(scope), Subscription(seen, is_part=scope.namespace is not None)
        self._clients[client] += 1
        feed.add(subscription)
        try:
            yield subscription
        finally:
            feed.remove(subscription)
            self._clients[client] -= 1
            self._clients += Counter()  # forgets clients without streams
            self._let_linger(scope, feed)

    @asynccontextmanager
    async def kept(self, scope: Scope) -> AsyncIterator[None]:
        """Watch some records while a page of them is made, and a little longer, until its stream begins."""
        try:
            feed = None if self._is_closed else self._feed(scope)
        except TooManyStreams:
            feed = None  # the stream will be refused too
        if feed is None:
            yield
            return
        feed.pages += 1
        try:
            yield
        finally:
            feed.pages -= 1
            self._let_linger(scope, feed)

    def _let_linger(self, scope: Scope, feed: Feed) -> None:
        asyncio.get_running_loop().call_later(self._linger, self._end_unused, scope, feed)

    def _feed(self, scope: Scope) -> Feed:
        """The watch of some records, a new one if there is none. Raises: TooManyStreams."""
        feed = self._feeds.get(scope)
        if feed is None or feed.is_stopped:
            self._make_room()
            feed = self._feeds[scope] = Feed(self._site, scope)
            self._started.append(feed)
        return feed

    def _make_room(self) -> None:
        """Ends watches that linger, if there are many. Raises: TooManyStreams: these have not stopped yet."""
        self._started = [one for one in self._started if one.is_alive]
        if len(self._started) < MOST_WATCHES:
            return
        for scope, feed in list(self._feeds.items()):
            self._end_unused(scope, feed)
        if len(self._started) >= 2 * MOST_WATCHES:
            raise TooManyStreams

    def _end_unused(self, scope: Scope, feed: Feed) -> None:
        """End a watch that no stream shows, and forget it: it has the marks of all its records in memory."""
        if not feed.is_used:
            feed.stop()
            if self._feeds.get(scope) is feed:
                del self._feeds[scope]

    def end_streams(self) -> None:
        """Let all streams end; there will be no new ones."""
        self._is_closed = True
        for feed in self._started:
            feed.stop()

    def join(self) -> None:
        """Wait for the watches that have been ended."""
        for feed in self._started:
            feed.join(JOIN_SECONDS)
