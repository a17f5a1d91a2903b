"""`Events`: the stream of changes that a page is kept up to date by, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from math import inf, isnan

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from store.system.clock import steady_clock, wall_clock
from store.web.app.door import Refusal
from store.web.app.feeds import Feeds, TooManyStreams
from store.web.app.refusing import response_of
from store.web.app.sources import WHOLE_STORE
from store.web.app.sources import Scope as Watched
from store.web.app.subscription import Subscription

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0  # after which a connection is tried, to notice that its client is gone
BATCH_SECONDS = 0.25  # between two batches: a busy store does not keep a browser busy
REST = 4  # times the duration of a comparison to pause after it
MOST_REST_SECONDS = 4.0  # the end of the server waits for it
FULL = Refusal(503, "There are too many streams of events. Close other pages of this store, and reload this one.")


class Events:
    """The endpoint of the events. Its query has the `namespace`, and a `prefix` of names or one `name`.

    Without a `namespace` the events are of the whole store, and one comes at the Unix time `until`, when the first
    record expires. `has_changed` tells of the query whether what the page shows had changed before the records were
    watched.
    """

    def __init__(
        self,
        feeds: Feeds,
        has_changed: Callable[[Mapping[str, str]], Awaitable[bool]],
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self._feeds = feeds
        self._has_changed = has_changed
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream, until its client goes or the server ends."""
        request = Request(scope)
        if request.method == "HEAD":
            await Response(media_type=MEDIA_TYPE)(scope, receive, send)
            return
        client = request.client.host if request.client else ""
        watched, query = watched_by(request), dict(request.query_params)

        async def catch_up() -> bool:
            has_changed = await self._has_changed(query)
            if has_changed:
                subscription.add_unknown(watched.namespace)
            return has_changed

        try:
            async with self._feeds.subscribed(watched, client, query.get("seen")) as subscription:
                text = stream(subscription, catch_up, self._until(query))
                await StreamingResponse(text, media_type=MEDIA_TYPE)(scope, receive, send)
        except TooManyStreams:
            await response_of(FULL)(scope, receive, send)

    def _until(self, query: Mapping[str, str]) -> Callable[[], float]:
        """A function that returns the seconds until the time of the query, which anybody may write by hand."""
        try:
            end = float(query.get("until", "inf"))
        except ValueError:
            end = inf
        return lambda: inf if isnan(end) else end - self._clock()


def watched_by(request: Request) -> Watched:
    """The records that a request asks for."""
    query = request.query_params
    if "namespace" not in query:
        return WHOLE_STORE
    name = query.get("name")
    return Watched(query["namespace"], "" if name is not None else query.get("prefix", ""), name)


async def stream(
    subscription: Subscription, catch_up: Callable[[], Awaitable[bool]], left: Callable[[], float] = lambda: inf
) -> AsyncIterator[str]:
    """The text of a stream; `catch_up` compares what the page shows, and adds whether that has changed.

    `left`: the seconds until a record expires whose change nobody will deliver.
    """
    yield "retry: 5000\n\n"
    is_current, is_told = True, False
    while not subscription.is_over:
        pause = min(HEARTBEAT_SECONDS, max(left(), 0.0)) if is_current else HEARTBEAT_SECONDS
        batch = await subscription.batch(pause)
        rest = BATCH_SECONDS
        if subscription.is_behind and subscription.has_begun and not is_told:
            subscription.is_behind, began = False, steady_clock()
            is_told = await catch_up()
            rest = rest if is_told else max(rest, min(MOST_REST_SECONDS, REST * (steady_clock() - began)))
        if is_current and left() <= 0:
            is_current = False
            subscription.add_unknown()
        yield batch or ": heartbeat\n\n"
        await asyncio.sleep(rest)
