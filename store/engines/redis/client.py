"""Runs scripts on the node that has their keys, and again where a node sends them elsewhere or was lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError

from store.engines.redis.causes import (
    DRIVER_ERRORS,
    Lost,
    can_repeat,
    is_of_all_attempts,
    is_of_topology,
    is_unanswered,
)
from store.engines.redis.nodes import ANSWER_SECONDS, Node, Topology
from store.engines.redis.resp import packed
from store.engines.redis.scripts.script import Script
from store.system import running
from store.system.clock import steady_clock

FIRST_PAUSE, LAST_PAUSE = 0.002, 0.1  # seconds between two attempts
LEAST_ATTEMPT_SECONDS = 0.5  # for the last one, which may begin just before the deadline
GRACE_SECONDS = 1.0  # by which a server that waits for replicas may answer late: it looks ten times a second
SHORT_SECONDS = ANSWER_SECONDS - 1  # where less is left, an attempt waits for no longer than that
RUN_AT_ONCE = 64  # scripts that are sent together: those of other clients come in between
Command = Sequence[bytes | str | int | float]
Followers = Callable[[float], Sequence[Command]]
"""Commands that are sent with a script on its connection, for the seconds that are left."""


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
        after: Followers | None = None,
    ) -> Any:
        """The answer of a script; with commands `after` it, sent with it on the same connection, the list of all.

        Until the deadline it runs again where nothing was done, and also where its connection was lost after it was
        sent. A script that must not be done twice has `arguments(is_again)`: with True it looks for what the attempts
        before have done. An error that a command `after` it gets is in the list.

        Raises:
            Lost: the connection was lost after the script was sent, and no attempt since then came through. Only with
                callable arguments: the other scripts may be done twice.
            redis.RedisError, RedisClusterException, OSError: nothing was done.
        """

        def exchange(conn: Any, is_again: bool, asking: bool, left: float) -> Any:
            command = script.command(keys, arguments(is_again) if callable(arguments) else arguments)
            try:
                return _exchange(conn, command, after, asking, left)
            except NoScriptError:
                conn.send_command(b"SCRIPT", b"LOAD", script.text)
                conn.read_response()
                return _exchange(conn, command, after, asking, left)

        return self._until(deadline, keys[0], exchange, is_once=callable(arguments))

    def command(self, key: bytes, deadline: float, *command: Any) -> Any:
        """The answer of one command, which may be done twice, at the node of a key. Raises: as `run`."""
        chunks = packed(command)
        return self._until(
            deadline, key, lambda conn, _, asking, left: _exchange(conn, chunks, None, asking, left), is_once=False
        )

    def run_all(self, script: Script, keys: Sequence[tuple[bytes, ...]]) -> list[Any]:
        """The answers of a script that only reads, for each of those keys, by few exchanges with each node.

        Raises: redis.RedisError, RedisClusterException, OSError: of any of them; nothing is repeated.
        """
        by_node: dict[Node, list[int]] = {}
        for place, names in enumerate(keys):
            by_node.setdefault(self.topology.node_of(names[0]), []).append(place)
        found: list[Any] = [None] * len(keys)
        for node, places in by_node.items():
            for start in range(0, len(places), RUN_AT_ONCE):
                some = places[start : start + RUN_AT_ONCE]
                try:
                    answers = _on(node, node.take(), lambda conn: _answers(conn, script, [keys[at] for at in some]))  # noqa: B023
                except DRIVER_ERRORS as exc:
                    self._after(exc, node)
                    raise
                for place, answer in zip(some, answers, strict=True):
                    found[place] = answer
        return found

    def _until(self, deadline: float, key: bytes, exchange: Callable[..., Any], *, is_once: bool) -> Any:
        is_again, pause = False, FIRST_PAUSE
        least = min(LEAST_ATTEMPT_SECONDS, max(deadline - steady_clock(), 0.001))
        redirect: _Redirect | None = None
        while True:
            node, is_sent, left = None, False, max(deadline - steady_clock(), least)
            is_redirected = redirect is not None
            try:
                asking = redirect is not None and redirect.asking
                node = self.topology.node_of(key) if redirect is None else redirect.node
                conn = node.take(left)
                is_sent = True  # perhaps: an error of the connection does not say how far it got
                return _on(node, conn, lambda conn: exchange(conn, is_again, asking, left))  # noqa: B023
            except DRIVER_ERRORS as exc:
                is_again = is_again or (is_sent and is_once and is_unanswered(exc))
                if not can_repeat(exc) or steady_clock() >= deadline:
                    if is_again and not is_of_all_attempts(exc):
                        raise Lost(str(exc)) from exc
                    raise
                redirect = self._after(exc, node)
            if redirect is None or is_redirected:
                running.sleep(max(min(pause, deadline - steady_clock()), 0))
                pause = min(2 * pause, LAST_PAUSE)

    def _after(self, error: BaseException, node: Node | None) -> _Redirect | None:
        """Where the next attempt goes, if the error says so."""
        if node is not None and (is_unanswered(error) or isinstance(error, ReadOnlyError)):
            node.drop_idle()  # its idle connections are as old: the server ended, or it is a replica now
        try:
            if is_of_topology(error):
                self.topology.refresh(node)
            if isinstance(error, AskError):
                return _Redirect(self.topology.at(error.host, error.port), not isinstance(error, MovedError))
        except DRIVER_ERRORS:
            pass  # no node answers now; the next attempt asks again
        return None


class _Redirect(NamedTuple):
    """The node that another node names for a key."""

    node: Node
    asking: bool
    """The slot is moving there, so that it takes the command only when asked to."""


def _on(node: Node, conn: Any, exchange: Callable[[Any], Any]) -> Any:
    """What `exchange` gets by a connection, which is given back, or closed where an answer may be under way still."""
    try:
        found = exchange(conn)
    except redis.ResponseError:
        node.put_back(conn)
        raise
    except BaseException:
        conn.disconnect()
        raise
    node.put_back(conn)
    return found


def _exchange(conn: Any, command: list[bytes], after: Followers | None, asking: bool, left: float) -> Any:
    """Send a command, and read its answer; `asking` it of a node that the slot is moving to."""
    if after is None and not asking and left > SHORT_SECONDS:
        conn.send_packed_command(command)
        return conn.read_response()
    commands = [command, *map(packed, () if after is None else after(left))]
    if asking:
        commands = [packed((b"ASKING",)), *commands]
    conn.send_packed_command([chunk for one in commands for chunk in one])
    end = steady_clock() + (min(left, ANSWER_SECONDS) if after is None else left + GRACE_SECONDS)
    answers = [_answer(conn, end) for _ in commands][asking:]
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0] if after is None else answers


def _answers(conn: Any, script: Script, keys: Sequence[tuple[bytes, ...]]) -> list[Any]:
    """The answers of a script for each of those keys. Raises: the first error among them."""
    commands = [packed((b"SCRIPT", b"LOAD", script.text)), *(script.command(one, ()) for one in keys)]
    conn.send_packed_command([chunk for command in commands for chunk in command])
    end = steady_clock() + ANSWER_SECONDS
    _, *answers = [_answer(conn, end) for _ in commands]
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def _answer(conn: Any, end: float) -> Any:
    """The next answer, also if it is an error. Raises: redis.TimeoutError: it did not come until `end`."""
    if not conn.can_read(max(end - steady_clock(), 0)):
        raise redis.TimeoutError("no answer came in time")
    try:
        return conn.read_response()
    except redis.ResponseError as exc:
        return exc
