"""Watching by the stream of changes, and the version of a namespace, which each write raises by one.

An entry of the stream has the id `<version>-<place>`: the version that a write led to, and the place of the name in
that write. So the entries after a known one are complete if that one is still there and no number is left out. The
random token of the write, which each entry has, tells it from an entry of the same id on a replica that was promoted
without it. Otherwise it is unknown what has changed, and all is read again: the stream was trimmed (it keeps
`KEPT_CHANGES` entries), the namespace was cleared, or another node took over that lacks changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import redis
from redis.crc import key_slot

from store.engines.capabilities import CommitMonitor, Monitor
from store.engines.contract import Fields, Order
from store.engines.redis.causes import DRIVER_ERRORS, Lost, can_repeat
from store.engines.redis.errors import damaged, translated
from store.engines.redis.keys import keys_of
from store.engines.redis.reading import Reading
from store.engines.redis.scripts.script import ANOTHER_STORE, MAX_RECORDS, Script
from store.engines.redis.scripts.watching import LOOK, LOOK_ALL
from store.engines.redis.server import Server
from store.engines.redis.writing_steps import decoded
from store.engines.waking import Wake
from store.errors import LockTimeout, StoreClosed
from store.rows.row import Header, Mark, has_expired
from store.system.clock import steady_clock

LOOK_SPACES = 250  # namespaces that one script looks at
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

    def watch_all(self) -> CommitMonitor:
        self._check_open()
        return RedisCommitMonitor(self._server, self._check_open)

    def version_of(self, namespace: str) -> object:
        return self._server.number(namespace, "version")


class Version(NamedTuple):
    """A state of a namespace, and the last entry of its stream; None: it has none."""

    number: int
    entry: bytes | None
    token: bytes | None


class RedisCommitMonitor:
    """The contract `CommitMonitor` of all namespaces: a digest of the ends of their streams.

    Nothing on the server counts the writes of a whole store, whose namespaces are on several nodes of a cluster. So a
    look reads all of them, hundreds by one script: 100,000 take the server 0.6 seconds.
    """

    def __init__(self, server: Server, check_open: Callable[[], object]) -> None:
        self._server = server
        self._asking = Asking(server, check_open)
        self._spaces = 0
        self._keys: list[tuple[bytes, ...]] = []

    def wake_by(self, wake: Wake) -> None:
        """Does nothing: a server tells of the streams that it is asked for one by one."""

    def version(self) -> object:
        server, own = self._server, self._server.own
        if self._asking.command(own.identity, b"HGET", own.identity, b"id") != server.id:
            raise translated(redis.ResponseError(ANOTHER_STORE), server.shown)
        spaces = self._asking.command(own.spaces, b"ZCARD", own.spaces)
        if spaces != self._spaces:  # none is ever removed
            names = self._asking.command(own.spaces, b"ZRANGE", own.spaces, 0, -1)
            self._keys, self._spaces = self._grouped(names), len(names)
        digests = self._asking.now(lambda: server.client.run_all(LOOK_ALL, self._keys))
        return self._spaces, tuple(digests)

    def close(self) -> None:
        self._asking.close()

    def _grouped(self, names: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        """The keys of those namespaces, in groups that one script may name."""
        groups: dict[int, list[tuple[bytes, bytes]]] = {}
        is_cluster = self._server.is_cluster
        for name in names:
            with suppress(UnicodeDecodeError):  # no name of ours
                keys = keys_of(self._server.location.prefix, decoded(name))
                slot = key_slot(keys.meta) if is_cluster else 0
                groups.setdefault(slot, []).append((keys.meta, keys.changes))
        return [
            tuple(chain.from_iterable(group[start : start + LOOK_SPACES]))
            for group in groups.values()
            for start in range(0, len(group), LOOK_SPACES)
        ]


class Asking:
    """Asks a server that is not waited for, until it is closed."""

    def __init__(self, server: Server, check_open: Callable[[], object]) -> None:
        self._server = server
        self._check_open = check_open
        self._is_closed = False

    def run(self, script: Script, keys: tuple[bytes, ...], arguments: Sequence[Any]) -> Any:
        """The answer of a script."""
        return self.now(lambda: self._server.client.run(script, keys, arguments, steady_clock() + LOOK_SECONDS))

    def command(self, key: bytes, *command: Any) -> Any:
        """The answer of one command."""
        return self.now(lambda: self._server.client.command(key, steady_clock() + LOOK_SECONDS, *command))

    def now(self, ask: Callable[[], Any]) -> Any:
        """What `ask` returns. Raises: LockTimeout: the server cannot be reached now. StoreClosed, StorageError."""
        self._check_open()
        shown = self._server.shown
        if self._is_closed:
            raise StoreClosed(f"the watch on {shown} was closed; watch it again")
        try:
            return ask()
        except DRIVER_ERRORS as exc:
            if isinstance(exc, Lost) or can_repeat(exc):
                raise LockTimeout(f"the server cannot be reached now: {exc}", path=shown) from exc
            raise translated(exc, shown) from exc

    def close(self) -> None:
        """Ask nothing more."""
        self._is_closed = True


class RedisMonitor:
    """The contract `Monitor`, on the connections that all handles of the process share."""

    def __init__(self, server: Server, check_open: Callable[[], object], namespace: str) -> None:
        self._server = server
        self._asking = Asking(server, check_open)
        self._namespace = namespace
        self._rows = Reading(server, run=self._asking.run)
        self._wake: Wake = _nothing
        self._number: int | None = server.listening.attach(namespace, self._ring)

    def wake_by(self, wake: Wake) -> None:
        self._wake = wake

    def version(self) -> Version:
        server, keys = self._server, self._server.keys(self._namespace)
        number, entry, token = self._asking.run(LOOK, (keys.meta, keys.changes), (server.id,))
        if number is None:  # nothing was ever written there, or the store is gone
            own = server.own.identity
            if self._asking.command(own, b"HGET", own, b"id") != server.id:
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
            page = self._asking.command(key, b"XRANGE", key, beginning, b"+", b"COUNT", MAX_RECORDS)
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
        self._asking.close()
        number, self._number = self._number, None
        if number is not None:
            self._server.listening.detach(number)

    def _ring(self) -> None:
        self._wake()


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
