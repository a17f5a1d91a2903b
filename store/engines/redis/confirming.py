"""Waits until replicas, or disks, have a write: `durability="full"`.

`WAIT` and `WAITAOF` answer for the writes of their own connection, so they are sent in one pipeline with the script.
A replica confirms what it has in memory, the primary's disk what it has synced: each survives the loss of the other.
WAITAOF asks for the disk of the primary alone, since it counts no replica without a log of its own (appendonly).
https://redis.io/docs/latest/commands/wait/, https://redis.io/docs/latest/commands/waitaof/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from store.engines.redis.client import Command
from store.errors import OutcomeUnknown

SHARE = 0.9  # of the time that is left, so that the answer comes before the client gives up
BRIEF_SECONDS = 1.0  # for what is confirmed whatever the durability


class Confirmation(NamedTuple):
    """The copies that a write waits for: replicas, and the primary's disk where its server is to be asked."""

    replicas: int
    syncs: bool

    def commands(self, left: float) -> Sequence[Command]:
        """The commands that wait, within so many seconds."""
        milliseconds = max(1, int(left * SHARE * 1000))
        found: list[Command] = [(b"WAIT", self.replicas, milliseconds)] if self.replicas else []
        if self.syncs:
            found.append((b"WAITAOF", 1, 0, milliseconds))
        return found

    def briefly(self, left: float) -> Sequence[Command]:
        """As `commands`, for about a second."""
        return self.commands(min(left, BRIEF_SECONDS))

    def missing(self, answers: Sequence[Any], where: str) -> OutcomeUnknown | None:
        """The error for the answers to `commands`, if fewer copies have the write; None if none is missing."""
        for answer in answers:
            if isinstance(answer, Exception):
                return _unknown(f"the server did not say how many copies there are ({answer})", where)
        if self.replicas and answers[0] < self.replicas:
            return _unknown(f"{answers[0]} of {self.replicas} replicas have confirmed it in time", where)
        if self.syncs and answers[-1][0] < 1:
            return _unknown("the server's disk has not confirmed it in time", where)
        return None


def _unknown(what: str, where: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{where}: it was written, and can be read, but may be lost if the server is lost now: {what}. Read it after "
        "a failover, or write it again; if that goes on, look after the replicas (INFO replication) and the disk",
        path=where,
    )
