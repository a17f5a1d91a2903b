"""`Events`: the stream of changes that a page is kept up to date by, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from store.web.app.door import Refusal
from store.web.app.feed import Scope as Watched
from store.web.app.feeds import Feeds, TooManyStreams
from store.web.app.refusing import response_of
from store.web.app.subscription import Subscription

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0  # after which a connection is tried, to notice that its client is gone
BATCH_SECONDS = 0.25  # between two batches: a busy store does not keep a browser busy
FULL = Refusal(503, "There are too many streams of events. Close other pages of this store, and reload this one.")


class Events:
    """The endpoint of the events. Its query has the `namespace`, and a `prefix` of names or one `name`.

    `has_changed` tells of the query whether what the page shows had changed before the records were watched.
    """

    def __init__(self, feeds: Feeds, has_changed: Callable[[Mapping[str, str]], Awaitable[bool]]) -> None:
        self._feeds = feeds
        self._has_changed = has_changed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream, until its client goes or the server ends."""
        request = Request(scope)
        if request.method == "HEAD":
            await Response(media_type=MEDIA_TYPE)(scope, receive, send)
            return
        client = request.client.host if request.client else ""
        watched, query = watched_by(request), dict(request.query_params)

        async def catch_up() -> None:
            if await self._has_changed(query):
                subscription.add_unknown(watched.namespace)

        try:
            async with self._feeds.subscribed(watched, client) as subscription:
                await StreamingResponse(stream(subscription, catch_up), media_type=MEDIA_TYPE)(scope, receive, send)
        except TooManyStreams:
            await response_of(FULL)(scope, receive, send)


def watched_by(request: Request) -> Watched:
    """The records that a request asks for."""
    query = request.query_params
    name = query.get("name")
    return Watched(query.get("namespace", ""), "" if name is not None else query.get("prefix", ""), name)


async def stream(subscription: Subscription, catch_up: Callable[[], Awaitable[None]]) -> AsyncIterator[str]:
    """The text of a stream; `catch_up` adds what changed before the records were watched."""
    yield "retry: 5000\n\n"
    is_behind = True
    while not subscription.is_over:
        batch = await subscription.batch(HEARTBEAT_SECONDS)
        if is_behind and subscription.has_begun:
            is_behind = False
            await catch_up()
        yield batch or ": heartbeat\n\n"
        await asyncio.sleep(BATCH_SECONDS)
