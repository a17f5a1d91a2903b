"""Watching by the stream of changes, and the version of a namespace, which each write raises by one.

An entry of the stream has the id `<version>-<place>`: the version that a write led to, and the place of the name in
that write. So the entries after a known one are complete if that one is still there and no number is left out. The
random token of the write, which each entry has, tells it from an entry of the same id on a replica that was promoted
without it. Otherwise it is unknown what has changed, and all is read again: the stream was trimmed (it keeps
`KEPT_CHANGES` entries), the namespace was cleared, or another node took over that lacks changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import redis

from store.engines.capabilities import Monitor
from store.engines.contract import Fields, Order
from store.engines.redis.causes import DRIVER_ERRORS, Lost, can_repeat
from store.engines.redis.errors import damaged, translated
from store.engines.redis.reading import Reading
from store.engines.redis.scripts.script import ANOTHER_STORE, MAX_RECORDS, Script
from store.engines.redis.scripts.watching import LOOK
from store.engines.redis.server import Server
from store.engines.redis.writing_steps import decoded
from store.engines.waking import Wake
from store.errors import LockTimeout, StoreClosed
from store.rows.row import Header, Mark, has_expired
from store.system.clock import steady_clock

LOOK_SECONDS = 0.1  # that a look goes on while the server refuses it for now
_name = attrgetter("name")


class RedisChanges:
    """The contract `Changes`. `check_open` raises StoreClosed once the handle is closed."""

    def __init__(self, server: Server, check_open: Callable[[], object]) -> None:
        self._server = server
        self._check_open = check_open

    def watch(self, namespace: str) -> Monitor:
        self._check_open()
        return RedisMonitor(self._server, self._check_open, namespace)

    def version_of(self, namespace: str) -> object:
        return self._server.number(namespace, "version")


class Version(NamedTuple):
    """A state of a namespace, and the last entry of its stream; None: it has none."""

    number: int
    entry: bytes | None
    token: bytes | None


class RedisMonitor:
    """The contract `Monitor`, on the connections that all handles of the process share."""

    def __init__(self, server: Server, check_open: Callable[[], object], namespace: str) -> None:
        self._server = server
        self._check_open = check_open
        self._namespace = namespace
        self._rows = Reading(server, run=self._run)
        self._wake: Wake = _nothing
        self._number: int | None = server.listening.attach(namespace, self._ring)

    def wake_by(self, wake: Wake) -> None:
        self._wake = wake

    def version(self) -> Version:
        server, keys = self._server, self._server.keys(self._namespace)
        number, entry, token = self._run(LOOK, (keys.meta, keys.changes), (server.id,))
        if number is None:  # nothing was ever written there, or the store is gone
            own = server.own.identity
            if self._command(own, b"HGET", own, b"id") != server.id:
                raise translated(redis.ResponseError(ANOTHER_STORE), server.shown)
        try:
            return Version(int(number or 0), entry, token)
        except ValueError as exc:
            raise damaged("version", keys.meta, server.shown) from exc

    def since(self, version: object) -> set[str] | None:
        if not isinstance(version, Version) or (version.entry is None and version.number):
            return None
        last = (0, 0) if version.entry is None else _parsed(version.entry)
        names: set[str] = set()
        for page in self._pages(version):
            if page is None:
                return None
            for entry, fields in page:
                number, place = _parsed(entry)
                if (number, place) not in ((last[0], last[1] + 1), (last[0] + 1, 1)) or not _is_own(fields):
                    return None
                last = number, place
                names.add(decoded(fields[1]))
        return names

    def _pages(self, version: Version) -> Iterator[list[Any] | None]:
        """The entries after the last one of that version; None if that is not there any more."""
        key, start, is_first = self._server.keys(self._namespace).changes, version.entry, True
        while True:
            beginning = b"-" if start is None else start if is_first else b"(" + start
            page = self._command(key, b"XRANGE", key, beginning, b"+", b"COUNT", MAX_RECORDS)
            is_last = len(page) < MAX_RECORDS
            if is_first and start is not None:
                if not page or page[0][0] != start or page[0][1][3:4] != [version.token]:
                    yield None
                    return
                del page[0]
            yield page
            if is_last:
                return
            start, is_first = page[-1][0], False

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        return self._rows.scan(
            self._namespace, Order.NAME, prefix=prefix, after=after, limit=limit, fields=Fields.MARK
        ).items

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        return sorted(self._rows.get(self._namespace, names, Fields.MARK).values(), key=_name)

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        found = self._rows.get(self._namespace, names, Fields.HEADER).values()
        return sorted((header for header in found if not has_expired(header, now)), key=_name)

    def close(self) -> None:
        number, self._number = self._number, None
        if number is not None:
            self._server.listening.detach(number)

    def _ring(self) -> None:
        self._wake()

    def _run(self, script: Script, keys: tuple[bytes, ...], arguments: Sequence[Any]) -> Any:
        return self._now(lambda: self._server.client.run(script, keys, arguments, steady_clock() + LOOK_SECONDS))

    def _command(self, key: bytes, *command: Any) -> Any:
        return self._now(lambda: self._server.client.command(key, steady_clock() + LOOK_SECONDS, *command))

    def _now(self, ask: Callable[[], Any]) -> Any:
        """The answer of the server, which is not waited for."""
        self._check_open()
        shown = self._server.shown
        if self._number is None:
            raise StoreClosed(f"the watch on {shown} was closed; watch it again")
        try:
            return ask()
        except DRIVER_ERRORS as exc:
            if isinstance(exc, Lost) or can_repeat(exc):
                raise LockTimeout(f"the server cannot be reached now: {exc}", path=shown) from exc
            raise translated(exc, shown) from exc


def _is_own(fields: Sequence[bytes]) -> bool:
    """Whether a client of this library wrote an entry of the stream; another program may write some too."""
    if len(fields) != 8:
        return False
    try:
        decoded(fields[1])
    except UnicodeDecodeError:
        return False
    return True


def _parsed(entry: bytes) -> tuple[int, int]:
    """The version and the place in an entry's id."""
    number, _, place = entry.partition(b"-")
    return int(number), int(place)


def _nothing() -> None:
    """Wakes nobody, until `wake_by`."""
