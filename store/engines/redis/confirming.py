"""Waits until replicas, or disks, have a write: `durability="full"`.

`WAIT` and `WAITAOF` answer for the writes of their own connection, so they are sent in one pipeline with the script.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from store.engines.redis.client import Command
from store.errors import OutcomeUnknown
from store.system.clock import steady_clock


class Confirmation(NamedTuple):
    """The copies that a write waits for: so many replicas, with `syncs` on disk, and the primary's disk too."""

    replicas: int
    syncs: bool

    def command(self, deadline: float) -> Command:
        """The command that waits until then, by `steady_clock`."""
        milliseconds = max(1, int((deadline - steady_clock()) * 900))  # before the connection's own timeout
        if self.syncs:
            return b"WAITAOF", 1, self.replicas, milliseconds
        return b"WAIT", self.replicas, milliseconds

    def missing(self, answer: Any, where: str) -> OutcomeUnknown | None:
        """The error for the answer to `command`, if fewer copies have the write; None if none is missing."""
        if isinstance(answer, Exception):
            return _unknown(f"the server did not say how many copies there are ({answer})", where)
        synced, replicas = answer if self.syncs else (1, answer)
        if synced and replicas >= self.replicas:
            return None
        disk = "" if not self.syncs else "it is on its disk, and " if synced else "it is not on its disk, and "
        return _unknown(f"{disk}{replicas} of {self.replicas} replicas have confirmed it in time", where)


def _unknown(what: str, where: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{where}: it was written, and can be read, but may be lost if the primary is lost now: {what}; read it "
        "after a failover, or write it again",
        path=where,
    )
