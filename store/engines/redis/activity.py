"""What programs do with a server, as it counts the commands: the contract `ActivityCounters`."""

from __future__ import annotations

from collections import Counter

from store.engines.activity import Activity
from store.engines.redis.handle import Handle
from store.engines.redis.health import parsed

_COMMAND = "cmdstat_"


class RedisActivity:
    """Counts of the whole server since it started, or of all primaries of a cluster.

    Each operation of a store is a script. One that writes asks for the time once, and adds an entry to a stream for
    each record; the others read.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def begin(self) -> None:
        """Does nothing: the server always counts."""

    def figures(self) -> Activity:
        self._handle.check_open()
        calls: Counter[str] = Counter()
        for info in self._handle.server.ask_primaries(b"INFO", b"commandstats"):
            calls.update(_calls(info))
        return Activity(reads=max(0, calls["evalsha"] - calls["time"]), writes=calls["xadd"])


def _calls(info: bytes) -> dict[str, int]:
    """How often each command was called: "cmdstat_xadd:calls=3,usec=12"."""
    found = {}
    for field, value in parsed(info).items():
        number = value.partition(",")[0].removeprefix("calls=")
        if field.startswith(_COMMAND) and number.isdecimal():
            found[field.removeprefix(_COMMAND)] = int(number)
    return found
