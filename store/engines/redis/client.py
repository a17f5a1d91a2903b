"""Runs scripts on the node that has their keys, and again where a node sends them elsewhere or was lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    TryAgainError,
)  # fmt: skip

from store.engines.redis.nodes import DRIVER_ERRORS, Node, Topology
from store.engines.redis.resp import packed
from store.engines.redis.scripts.script import Script
from store.system import running
from store.system.clock import steady_clock

FIRST_PAUSE, LAST_PAUSE = 0.002, 0.1  # seconds between two attempts
_LATER = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY", "NOREPLICAS")
Command = Sequence[bytes | str | int | float]


class Client:
    """The connections of a process to a location. Safe across threads; `renew` it in a forked child."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._renew_tokens()

    def token(self) -> bytes:
        """A name for a write that no other one has: 12 bytes."""
        return self._start + (next(self._numbers) & 0xFFFFFFFF).to_bytes(4, "big")

    def renew(self) -> None:
        """In a forked child: begin with no connection, and with other tokens."""
        self.topology.renew()
        self._renew_tokens()

    def _renew_tokens(self) -> None:
        self._start = os.urandom(8)
        self._numbers = itertools.count()  # no generator: an interrupt inside would end it, and threads share it

    def run(
        self,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: Callable[[bool], Sequence[Any]] | Sequence[Any],
        deadline: float,
        after: Command | None = None,
    ) -> Any:
        """The answer of a script; with a command `after` it, sent with it on the same connection, both answers.

        Until the deadline it runs again where nothing was done, and also where its connection was lost after it was
        sent: `arguments(True)` gives the arguments then, of a script that must not do it twice.

        Raises:
            Lost: the connection was lost after it was sent, and no attempt since then came through.
            redis.RedisError, OSError: nothing was done.
        """

        def exchange(conn: Any, is_again: bool, asking: bool) -> Any:
            command = script.command(keys, arguments(is_again) if callable(arguments) else arguments)
            try:
                return _exchange(conn, command, after, asking)
            except NoScriptError:
                conn.send_command(b"SCRIPT", b"LOAD", script.text)
                conn.read_response()
                return _exchange(conn, command, after, asking)

        return self._until(deadline, keys[0], exchange)

    def command(self, key: bytes, deadline: float, *command: Any) -> Any:
        """The answer of one command, which may be done twice, at the node of a key. Raises: as `run`."""
        chunks = packed(command)
        return self._until(deadline, key, lambda conn, _, asking: _exchange(conn, chunks, None, asking))

    def _until(self, deadline: float, key: bytes, exchange: Callable[[Any, bool, bool], Any]) -> Any:
        is_again, pause = False, FIRST_PAUSE
        redirected: Node | None = None
        while True:
            sent, asking = False, redirected is not None
            try:
                node = redirected or self.topology.node_of(key)
                redirected = None
                conn = node.take()
                sent = True  # perhaps: an error of the connection does not say how far it got
                return _on(node, conn, lambda conn: exchange(conn, is_again, asking))  # noqa: B023
            except DRIVER_ERRORS as exc:
                if isinstance(exc, AskError) and not isinstance(exc, MovedError):
                    redirected = self._redirected(exc)
                elif not can_repeat(exc):
                    raise
                else:
                    self._refresh_after(exc)
                is_again = is_again or (sent and is_disconnected(exc))
                if steady_clock() >= deadline:
                    if is_again:
                        raise Lost(str(exc)) from exc
                    raise
                is_redirect = isinstance(exc, AskError)
            if not is_redirect:
                running.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)

    def _redirected(self, error: AskError) -> Node | None:
        try:
            return self.topology.at(error.host, error.port)
        except DRIVER_ERRORS:
            return None  # the next attempt asks the old node again

    def _refresh_after(self, error: BaseException) -> None:
        """Ask which node has which keys, if the error says that it may have changed."""
        if isinstance(error, redis.ResponseError) and not isinstance(
            error, MovedError | ReadOnlyError | ClusterDownError
        ):
            return
        try:
            self.topology.refresh()
        except DRIVER_ERRORS:
            pass  # no node answers now; the next attempt asks again


class Lost(Exception):
    """A connection was lost after a command was sent on it, so it may have been done."""


def is_disconnected(error: BaseException) -> bool:
    """Whether the connection failed; the server itself refused nothing."""
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError) and not isinstance(
        error, BusyLoadingError | ClusterDownError
    )


def can_repeat(error: BaseException) -> bool:
    """Whether another attempt may succeed: a connection failed, or the server refused a command for now."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(error, redis.ResponseError):
        return is_temporary(error)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | RedisClusterException | OSError)


def is_temporary(error: redis.ResponseError) -> bool:
    """Whether the server refused a command for now, and did nothing."""
    return isinstance(
        error, TryAgainError | ClusterDownError | ReadOnlyError | AskError
    ) or str(error).startswith(_LATER)  # fmt: skip


def _on(node: Node, conn: Any, exchange: Callable[[Any], Any]) -> Any:
    """What `exchange` gets by a connection, which is given back, or closed where an answer may be under way still."""
    is_whole = False
    try:
        found = exchange(conn)
        is_whole = True
        return found
    except redis.ResponseError:
        is_whole = True
        raise
    finally:
        if not is_whole:
            conn.disconnect()
        node.put_back(conn)


def _exchange(conn: Any, command: list[bytes], after: Command | None, asking: bool) -> Any:
    """Send a command, and read its answer; `asking` it of a node that the slot is moving to."""
    if after is None and not asking:
        conn.send_packed_command(command)
        return conn.read_response()
    commands = [command] if after is None else [command, packed(after)]
    if asking:
        commands = [part for one in commands for part in (packed((b"ASKING",)), one)]
    conn.send_packed_command([chunk for one in commands for chunk in one])
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(conn.read_response())
        except redis.ResponseError as exc:
            answers.append(exc)
    answers = answers[asking :: 1 + asking]
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0] if after is None else answers
