"""Many clients at once, each a process with a connection of its own: operations a second of all of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from ..session import name, pairs, session
from . import checking
from .peers import Kind, Peer, Roster
from .plan import Plan

RECORDS = 1000
START_SECONDS = 120.0


class Team:
    """So many processes that each have a peer open."""

    def __init__(self, kind: Kind, url: str, clients: int) -> None:
        self._pipes: list[Connection] = []
        self._processes = []
        context = multiprocessing.get_context("fork")  # imports are done; nothing is open in this process
        for number in range(clients):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(kind, url, number, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            _answer(pipe)

    def run(self, operation: str, seconds: float) -> float:
        """Operations a second of all of them together."""
        for pipe in self._pipes:
            pipe.send((operation, seconds))
        return sum(count / took for count, took in map(_answer, self._pipes))

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(START_SECONDS)


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(START_SECONDS):
        raise TimeoutError("a client of the benchmark does not answer")
    return pipe.recv()


def _work(kind: Kind, url: str, number: int, pipe: Connection) -> None:
    peer = kind.open(url)
    steps = _steps(kind, peer, number)
    for step in steps.values():
        step(0)  # connected and prepared before anything is timed
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        operation, seconds = order
        step = steps[operation]
        start, count = perf_counter(), 0
        while (took := perf_counter() - start) < seconds:
            for each in range(count, count + 10):
                step(each)
            count += 10
        pipe.send((count, took))
    peer.close()


def _steps(kind: Kind, peer: Peer, number: int) -> dict[str, Callable[[int], object]]:
    """Operation → the call of its n-th step by client `number`."""
    names = [name((step * 7919 + number * 31) % RECORDS) for step in range(RECORDS)]
    values = [session(step) for step in range(RECORDS)]
    found: dict[str, Callable[[int], object]] = {
        "get": lambda step: peer.get(names[step % RECORDS]),
        "set": lambda step: peer.set(names[step % RECORDS], values[step % RECORDS]),
        "edit": lambda step: peer.edit(names[step % RECORDS]),
    }
    return {operation: call for operation, call in found.items() if operation not in kind.lacks}


def measure(
    url: str, clients: int, plan: Plan, roster: Roster, operations: tuple[str, ...]
) -> dict[str, dict[str, list[float]]]:
    """Operation → label → operations a second, one figure a round; the peers take turns."""
    found: dict[str, dict[str, list[float]]] = {operation: {} for operation in operations}
    kinds = roster.present(plan.peers)
    teams: dict[str, Team] = {}
    try:
        for kind in kinds:
            teams[kind.label] = Team(kind, url, clients)
        for operation in operations:
            able = [kind.label for kind in kinds if operation not in kind.lacks]
            for label in _in_turn(able, plan.client_rounds):
                found[operation].setdefault(label, []).append(teams[label].run(operation, plan.client_seconds))
    finally:
        for team in teams.values():
            team.stop()
    return found


def _in_turn(labels: list[str], rounds: int) -> Iterator[str]:
    for number in range(rounds):
        yield from labels[:: 1 if number % 2 == 0 else -1]


def fill(url: str, plan: Plan, roster: Roster) -> None:
    """The records that all clients read and write."""
    _apart(_fill, url, roster.present(plan.peers))


def _fill(url: str, kinds: list[Kind]) -> None:
    for kind in kinds:
        kind.fill(url, pairs(RECORDS))


def check(url: str, plan: Plan, roster: Roster) -> None:
    """See that each peer stores and reads what it is measured with. Raises: RuntimeError; the traceback is printed."""
    _apart(checking.check_all, url, roster.present(plan.peers))


def _apart(work: Callable[[str, list[Kind]], None], url: str, kinds: list[Kind]) -> None:
    """In a process of its own, so that nothing is open in this one when clients are forked."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(url, kinds))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{work.__name__} failed in a process of its own: see above")
