"""Many processes ask for one missing entry at the same moment: how often it is computed, and how long all of them wait."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from time import monotonic, sleep
from typing import Any, NamedTuple

from ..session import session
from .measures import Plan, new_places
from .peers import Place, present

START_SECONDS = 120.0
LEAD_SECONDS = 0.02  # between the order and the moment at which all begin


class Stampedes(NamedTuple):
    """By label, one figure a round: how often the entry was computed, and seconds until the last process had it."""

    computed: dict[str, list[int]]
    seconds: dict[str, list[float]]


class Team:
    """So many processes, each with all the caches open."""

    def __init__(self, places: dict[str, Place], plan: Plan) -> None:
        self._pipes: list[Connection] = []
        self._processes = []
        context = multiprocessing.get_context("fork")  # imports are done; nothing is open in this process
        for _ in range(plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(places, plan, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        every: list[list[str]] = [_answer(pipe) for pipe in self._pipes]
        self.labels = every[0]

    def ask(self, label: str, name: str) -> tuple[int, float]:
        """How often the entry was computed, and the seconds until the last one had it."""
        at = monotonic() + LEAD_SECONDS
        for pipe in self._pipes:
            pipe.send((label, name, at))
        answers = [_answer(pipe) for pipe in self._pipes]
        return sum(computed for computed, _ in answers), max(took for _, took in answers)

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(START_SECONDS)


def measure(plan: Plan) -> Stampedes:
    """In each round every way once, in an order that changes, each time for a new name."""
    order, found = random.Random(7), Stampedes({}, {})
    with new_places(plan) as places, ExitStack() as stack:
        team = Team(places, plan)
        stack.callback(team.stop)
        for number in range(-1, plan.stampedes):  # the first one warms up
            for label in order.sample(team.labels, len(team.labels)):
                computed, seconds = team.ask(label, f"cold {label} {number}")
                if number >= 0:
                    found.computed.setdefault(label, []).append(computed)
                    found.seconds.setdefault(label, []).append(seconds)
    return found


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(START_SECONDS):
        raise TimeoutError("a process of the benchmark does not answer")
    return pipe.recv()


class Computing:
    """Computes entries, and counts how often."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.times = seconds, 0

    def function(self) -> Callable[[str], Any]:
        """A plain function, as decorators want it."""

        def compute(name: str) -> Any:
            self.times += 1
            sleep(self.seconds)
            return session(len(name))

        return compute


def _work(places: dict[str, Place], plan: Plan, pipe: Connection) -> None:
    computing, ways, peers = Computing(plan.computing), {}, []
    for kind in present(plan.peers):
        if not kind.computing:
            continue
        peers.append(kind.open(places[kind.label], None))
        for ending, way in kind.computing.items():
            ways[f"{kind.label}, {ending}"] = way(peers[-1], computing.function())
    pipe.send(list(ways))
    while (order := pipe.recv()) is not None:
        label, name, at = order
        before = computing.times
        sleep(max(0.0, at - monotonic()))
        ways[label](name)
        took = monotonic() - at
        pipe.send((computing.times - before, took))
    for peer in peers:
        peer.close()
