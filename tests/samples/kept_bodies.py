"""What a server sends of bodies that a handle keeps, and what another program changes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol
from unittest.mock import patch

from postgres_tables import execute

from store import Store


class SentBodies(Protocol):
    """How the engine of a store gets rows, and how others change the row of `a`."""

    def recorded(self) -> AbstractContextManager[list[int]]:
        """In this block: for each round trip of a read, how many bytes the bodies have that come."""

    def failing(self) -> AbstractContextManager[Any]:
        """In this block reading raises ZeroDivisionError."""

    def change_body(self) -> None:
        """Its body is another one, under the same seal."""

    def change_seal(self) -> None:
        """Its seal is another one."""


class OfPostgres:
    """The contract `SentBodies`."""

    def __init__(self, s: Store[Any], url: str) -> None:
        self._handle: Any = s.opened.engine.handle  # type: ignore[attr-defined]
        self._url = url

    @contextmanager
    def recorded(self) -> Iterator[list[int]]:
        read, found = self._handle.read, []

        def recording(work: Any) -> Any:
            rows = read(work)
            found.append(sum(0 if row[7] is None else len(row[7]) for row in rows))
            return rows

        with patch.object(self._handle, "read", recording):
            yield found

    def failing(self) -> AbstractContextManager[Any]:
        return patch.object(self._handle, "read", lambda work: 1 / 0)

    def change_body(self) -> None:
        execute(self._url, "UPDATE {records} SET body = body || 'y'::bytea")

    def change_seal(self) -> None:
        execute(self._url, "UPDATE {records} SET seal = set_byte(seal, 20, 255 - get_byte(seal, 20))")


class OfRedis:
    """The contract `SentBodies`."""

    def __init__(self, s: Store[Any], url: str) -> None:
        self._engine: Any = s.opened.engine
        self._server = self._engine.handle.server

    @contextmanager
    def recorded(self) -> Iterator[list[int]]:
        from store.engines.redis.packing import unpack_sealed

        client, found = self._server.client, []
        run = client.run

        def recording(*call: Any) -> Any:
            answer = run(*call)
            rows = unpack_sealed("", [("", row) for row in answer if row is not None])
            found.append(sum(len(row.body) for row in rows))
            return answer

        with patch.object(client, "run", recording):
            yield found

    def failing(self) -> AbstractContextManager[Any]:
        return patch.object(self._engine._reading, "_run", lambda *_: 1 / 0)

    def change_body(self) -> None:
        row = self._row()
        self._replace(row[:-1] + b"!")

    def change_seal(self) -> None:
        row = self._row()
        self._replace(row[:60] + b"!" + row[61:])

    def _row(self) -> bytes:
        key = self._server.keys("").rows
        row: bytes = self._server.command(key, b"HGET", key, b"a")
        return row

    def _replace(self, row: bytes) -> None:
        key = self._server.keys("").rows
        self._server.command(key, b"HSET", key, b"a", row)


def sent_bodies(s: Store[Any], url: str) -> SentBodies:
    """That of the engine of that URL."""
    return OfPostgres(s, url) if url.startswith("postgres") else OfRedis(s, url)
