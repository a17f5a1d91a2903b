"""`Subscription`: the events that one stream has yet to send. Of the event loop's thread alone."""

from __future__ import annotations

import asyncio
import json

from store.watching.changes import Change

MOST_NAME = 4096  # characters; in a crafted file it may have any length, and a hundred of these are kept
NOT_COMPARED = "the store has changed, and this page does not have all records; reload it, or sort by name"
MOST_PENDING = 100  # changes; of more, the page only learns that there were many


class Subscription:
    """Collects changes as events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Each event's data is a JSON object. First comes the `kind` "watching": what changes from now on is sent. A change
    has the `kind` "set", "deleted" or "expired", its `name` and `namespace`; "many" are changes whose names are not
    known: more than are kept, earlier ones than the first event, or any of the whole store.
    "problem" is the last one, with a `message`: the records are not watched.
    """

    def __init__(self, seen: str | None = None, *, is_part: bool = False) -> None:
        """`seen`: the mark of what the page shows; of a part of the store where it `is_part`."""
        self._seen = seen
        self._is_part = is_part
        self.is_behind = True
        """Whether what the page shows may have changed without an event: it is to be compared."""
        self._pending: list[str] = []
        self._ready = asyncio.Event()
        self._has_ended = False
        self.has_begun = False

    def begin(self) -> None:
        """Let the page know that changes are noticed from now on."""
        self.has_begun = True
        self._add(_event(kind="watching"))

    def add(self, change: Change) -> None:
        """Keep a change for the next batch."""
        if len(self._pending) < MOST_PENDING and len(change.name) <= MOST_NAME:
            self._add(_event(kind=change.kind, name=change.name, namespace=change.namespace))
        else:
            self.add_unknown(change.namespace)

    def add_mark(self, mark: str) -> None:
        """Keep for the next batch that the store has changed, unless the page was made since then.

        A page of a part of the store is compared with that part, if it can be.
        """
        if self._is_part and self._seen is None:
            self.end(NOT_COMPARED)
        elif self._is_part:
            self.is_behind = True
            self._ready.set()
        elif mark != self._seen:
            self._seen = mark
            self.add_unknown()

    def add_unknown(self, namespace: str | None = None) -> None:
        """Keep for the next batch that something has changed, in a namespace or in the store."""
        del self._pending[MOST_PENDING:]
        self._add(_event(kind="many") if namespace is None else _event(kind="many", namespace=namespace))

    def end(self, problem: str | None = None) -> None:
        """Let the stream end after the pending events; `problem` says why, if something is wrong."""
        self._has_ended = True
        if problem is not None:
            self._add(_event(kind="problem", message=problem))
        self._ready.set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._has_ended and not self._pending

    async def batch(self, seconds: float) -> str:
        """The pending events, as soon as there are any; "" if there are none for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return ""
        self._ready.clear()
        events, self._pending = self._pending, []
        return "".join(events)

    def _add(self, event: str) -> None:
        self._pending.append(event)
        self._ready.set()


def _event(**data: str) -> str:
    return f"data: {json.dumps(data)}\n\n"  # in ASCII, so that no name breaks the line
