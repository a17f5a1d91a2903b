"""What a process has open while it watches: a thread that waits for entries in the streams of changes.

It has one connection for all watched namespaces of a server. A cluster refuses a command on keys of several slots,
also where one node has them, so there each namespace has a connection, up to `MOST_CONNECTIONS`.

An answer only ends a wait early: each watch looks by itself too, on other connections, which also find out which node
has a slot now. So no watch depends on this thread: while it has no connection it tries again, at growing intervals.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.hearing import BEAT_SECONDS, Hearing
from store.engines.redis.nodes import Topology
from store.engines.waking import Wake, Waking, poll
from store.system.clock import steady_clock

LULL_SECONDS = 0.01  # the least between two ends of a wait: a busy store must not keep its watches busy
FIRST_PAUSE, LAST_PAUSE = 0.05, 5.0  # seconds before the next attempt to connect
MOST_CONNECTIONS = 64

Group = tuple[str, ...]
"""The namespaces that have a connection together."""


class Listening:
    """The connections and the thread by which all watches of a process are woken. Safe across threads."""

    def __init__(self, shown: str, topology: Callable[[], Topology], stream_of: Callable[[str], bytes]) -> None:
        self._topology = topology
        self._stream_of = stream_of
        self._waking = Waking(shown, self._run)
        self._hearings: dict[Group, Hearing] = {}
        self._pauses: dict[Group, Pause] = {}

    def renew(self) -> None:
        """In a forked child: watch nothing, and leave the parent's connections alone."""
        self._waking.renew()
        self._hearings, self._pauses = {}, {}

    def attach(self, namespace: str, wake: Wake) -> int:
        """As `Waking.attach`."""
        number = self._waking.attach(namespace, wake)
        self._waking.ring()
        return number

    def detach(self, number: int) -> None:
        """Call it no more; after the last one the thread closes its connections. For finalizers too."""
        self._waking.detach(number)

    def close(self) -> None:
        """End the thread and its connections: the last handle of the process is about to be closed."""
        self._waking.close()

    # -- in the thread

    def _run(self, ear: socket.socket) -> None:
        heard: set[str] = set()
        while True:
            with self._waking.mutex:
                if not self._waking.is_wanted:
                    self._hang_up({})
                    self._pauses.clear()
                    self._waking.end(ear)
                    return
            heard |= self._attend()
            for namespace in heard:
                self._waking.wake(namespace)
            if heard:
                poll([ear.fileno()], LULL_SECONDS)
            heard = self._wait(ear)

    def _attend(self) -> set[str]:
        """Have each group listen; returns the namespaces that may have changed unheard."""
        try:
            topology = self._topology()
            groups = self._groups(topology)
        except DRIVER_ERRORS:
            return set()
        self._hang_up(groups)
        heard: set[str] = set()
        for group, streams in groups.items():
            pause = self._pauses.get(group)
            if pause is None or steady_clock() >= pause.until:
                heard |= self._tried(group, lambda: self._attended(topology, group, streams))  # noqa: B023
        return heard

    def _groups(self, topology: Topology) -> dict[Group, dict[str, bytes]]:
        """The streams to listen to, by namespace, in groups that one command may name."""
        streams = {space: self._stream_of(space) for space in sorted(self._waking.namespaces())}
        if not topology.is_cluster:
            return {tuple(streams): streams} if streams else {}
        return {(space,): {space: key} for space, key in list(streams.items())[:MOST_CONNECTIONS]}

    def _attended(self, topology: Topology, group: Group, streams: dict[str, bytes]) -> set[str]:
        hearing = self._hearings.get(group)
        if hearing is None:
            node = topology.node_of(streams[group[0]])
            hearing = self._hearings[group] = Hearing(node, streams)
        heard = hearing.attend()
        self._pauses.pop(group, None)
        return heard

    def _tried(self, group: Group, work: Callable[[], set[str]]) -> set[str]:
        """What `work` returns; if the connection fails, it is closed, and the group pauses and looks by itself."""
        try:
            return work()
        except DRIVER_ERRORS:
            hearing = self._hearings.pop(group, None)
            if hearing is not None:
                hearing.close()
            self._pauses[group] = Pause(self._pauses.get(group))
            return set(group)

    def _wait(self, ear: socket.socket) -> set[str]:
        """Wait until something arrives, the bell rings, or something is due; returns the changed namespaces."""
        now = steady_clock()
        due = [hearing.until for hearing in self._hearings.values()]
        due += [pause.until for pause in self._pauses.values()]
        by_descriptor = {hearing.descriptor: group for group, hearing in self._hearings.items()}
        ready = poll([ear.fileno(), *by_descriptor], max(0.0, min(due, default=now + BEAT_SECONDS) - now))
        if ear.fileno() in ready:
            ear.recv(4096)
        heard: set[str] = set()
        for group in [by_descriptor[descriptor] for descriptor in ready & by_descriptor.keys()]:
            heard |= self._tried(group, self._hearings[group].hear)
        return heard

    def _hang_up(self, groups: Mapping[Group, object]) -> None:
        """Close the connections of all other groups."""
        for group in [group for group in self._hearings if group not in groups]:
            self._hearings.pop(group).close()
        for group in [group for group in self._pauses if group not in groups]:
            del self._pauses[group]


class Pause:
    """The pause before the next attempt: twice as long as the one before it."""

    def __init__(self, before: Pause | None) -> None:
        self.seconds: float = FIRST_PAUSE if before is None else min(2 * before.seconds, LAST_PAUSE)
        self.until = steady_clock() + self.seconds
