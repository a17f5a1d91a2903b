"""A connection on which a node tells of new entries in streams (XREAD with BLOCK)."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import redis

from store.engines.redis.nodes import Node
from store.system.clock import steady_clock

BEAT_SECONDS = 5.0  # after which a node answers also if there is no new entry
CONNECT_SECONDS = 2.0  # and for any other answer
_socket_of = attrgetter("_sock")  # the driver has no public name for it


class Hearing:
    """One connection to a node, and the streams of some namespaces there, by name. One thread uses it.

    All streams are in one slot, or the node is no cluster's. Each method raises the driver's errors; `close` it then.
    """

    def __init__(self, node: Node, streams: Mapping[str, bytes]) -> None:
        self._streams = streams
        self._last: dict[str, bytes] = {}
        self._conn = node.connected(CONNECT_SECONDS)
        self._is_waiting = False
        self.until = steady_clock()
        """When an answer is overdue, or the next `attend` is due."""

    @property
    def descriptor(self) -> int:
        """Of the socket, which can be read once there is an answer."""
        found: int = _socket_of(self._conn).fileno()
        return found

    def attend(self) -> set[str]:
        """Have the node answer to the next entry. Returns the namespaces that have had some since the last answer."""
        if self._is_waiting:
            if steady_clock() >= self.until:
                raise redis.TimeoutError("the node does not answer")
            return set()
        conn, before = self._conn, self._last
        conn.send_packed_command(
            conn.pack_commands([(b"XREVRANGE", key, b"+", b"-", b"COUNT", 1) for key in self._streams.values()])
        )
        ends = [conn.read_response() for _ in self._streams]
        self._last = {
            space: end[0][0] if end else b"0-0" for space, end in zip(self._streams, ends, strict=True)
        }  # fmt: skip
        conn.send_command(
            b"XREAD", b"COUNT", 1, b"BLOCK", int(BEAT_SECONDS * 1000), b"STREAMS", *self._streams.values(),
            *self._last.values(),
        )  # fmt: skip
        self._is_waiting, self.until = True, steady_clock() + BEAT_SECONDS + CONNECT_SECONDS
        return {space for space, last in self._last.items() if before.get(space) != last}

    def hear(self) -> set[str]:
        """The namespaces that have new entries. There is an answer to read."""
        found = self._conn.read_response() or ()
        self._is_waiting, self.until = False, steady_clock()
        spaces: dict[bytes, str] = {key: space for space, key in self._streams.items()}
        heard = set()
        for key, entries in found:
            space = spaces[key]
            self._last[space] = entries[0][0]
            heard.add(space)
        return heard

    def close(self) -> None:
        conn: Any = self._conn
        conn.disconnect()
