"""Waits until replicas, or disks, have a write: `durability="full"`.

`WAIT` and `WAITAOF` answer for the writes of their own connection, so they are sent in one pipeline with the script.
"""

from __future__ import annotations

from typing import Any

from store.engines.redis.client import Command
from store.errors import OutcomeUnknown
from store.system.clock import steady_clock


class Confirmation:
    """The command that waits: for so many replicas, or with `syncs` also until they and the primary have synced."""

    def __init__(self, replicas: int, *, syncs: bool) -> None:
        self.replicas = replicas
        self.syncs = syncs

    def __call__(self, deadline: float) -> Command:
        milliseconds = max(1, int((deadline - steady_clock()) * 900))  # before the connection's own timeout
        if self.syncs:
            return b"WAITAOF", 1, self.replicas, milliseconds
        return b"WAIT", self.replicas, milliseconds


def missing_copies(answer: Any, command: Command, where: str) -> OutcomeUnknown | None:
    """The error for a write that fewer replicas or disks have than was asked for; None if none is missing."""
    if isinstance(answer, Exception):
        return _unknown(f"the server did not say how many copies there are ({answer})", where)
    if command[0] == b"WAIT":
        if answer >= command[1]:
            return None
        return _unknown(f"{answer} of {command[1]} replicas have confirmed it in time", where)
    local, replicas = answer
    if local >= 1 and replicas >= command[2]:
        return None
    return _unknown(
        f"{'the server has' if local else 'the server has not'} synced it to its disk, and {replicas} of {command[2]} "
        "replicas have, in time",
        where,
    )


def _unknown(what: str, where: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{where}: it was written, and can be read, but may be lost if the primary is lost now: {what}; read it after a "
        "failover, or write it again",
        path=where,
    )
