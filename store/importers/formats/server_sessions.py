"""Sessions on a Redis or Valkey server or cluster: one key for each, in the layout of the framework that wrote them.

A value is a dict: pickled, or as JSON or MessagePack, perhaps compressed. A session expires when its key does. The
source is only read; a session that a running program changes meanwhile comes over in its old or its new state.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from store.errors import StorageError
from store.importers.contract import Found, Keys
from store.importers.redis_source import MAX_VALUE_BYTES, Value, opened
from store.importers.serialized import codec_and_body

MOST_OTHERS = 20  # beginnings of keys of other programs that are reported


class Layout(Protocol):
    """Which keys have sessions, and whose."""

    pattern: str
    """Of `SCAN`: all keys that may be a session."""
    beginning: str
    """How the keys of the wanted ones begin."""

    def name_of(self, key: bytes) -> str | bytes | None:
        """The key of the record; None: the session is not one of those that are wanted."""

    def other(self, key: bytes) -> str:
        """How the key of a session begins that is not wanted; empty: it is none."""

    def hint(self, other: str) -> str:
        """How to import sessions whose keys begin so."""


class ServerSessions:
    """Reads the sessions of one framework; `layout_of` makes its layout for the prefix and version of keys."""

    def __init__(self, name: str, layout_of: Callable[[Keys], Layout]) -> None:
        self.name = name
        self._layout_of = layout_of

    def check(self, url: str, keys: Keys) -> None:
        layout = self._layout_of(keys)
        others: dict[str, None] = {}
        with opened(url) as source:
            for batch in source.keys(layout.pattern):
                if any(layout.name_of(key) is not None for key in batch):
                    return
                _note(others, layout, batch)
            hint = "".join(f"; {layout.hint(other)}" for other in list(others)[:MOST_OTHERS])
            raise StorageError(
                f"there is nothing of the kind {self.name} at {source.shown}: no key begins with {layout.beginning!r}"
                + (hint or "; name the database at the end of the URL, and the prefix of its keys by key_prefix"),
                path=source.shown,
            )

    def read(self, url: str, keys: Keys, clock: Callable[[], float]) -> Generator[Found]:
        layout = self._layout_of(keys)
        others: dict[str, None] = {}
        with opened(url) as source:
            for batch in source.keys(layout.pattern):
                names = {key: name for key in batch if (name := layout.name_of(key)) is not None}
                for value in source.values(list(names), clock):
                    yield _found(names[value.key], value)
                _note(others, layout, batch)
        for other in list(others)[:MOST_OTHERS]:
            yield Found(other, problem=f"these sessions are of another program; {layout.hint(other)}", skipped=True)
        if len(others) > MOST_OTHERS:
            yield Found("…", problem=f"keys of sessions begin in more than {MOST_OTHERS} other ways", skipped=True)


def _note(others: dict[str, None], layout: Layout, batch: list[bytes]) -> None:
    """Notes how keys of other programs begin; one more than are reported."""
    for key in batch:
        if len(others) <= MOST_OTHERS and layout.name_of(key) is None and (other := layout.other(key)):
            others[other] = None


def _found(name: str | bytes, value: Value) -> Found:
    if value.problem:
        return Found(name, problem=value.problem, skipped=value.skipped, may_repeat=True)
    try:
        codec, body = codec_and_body(value.data, MAX_VALUE_BYTES)
    except ValueError as exc:
        return Found(name, problem=str(exc), may_repeat=True)
    return Found(name, body, codec, value.expires, may_repeat=True, wanted=dict)


def as_pattern(beginning: str) -> str:
    """The text for a pattern of `SCAN`, in which it stands for itself."""
    return "".join(f"\\{char}" if char in r"\*?[]^-" else char for char in beginning)
