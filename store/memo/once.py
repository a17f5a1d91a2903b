"""One caller computes, the others wait: for functions. `store.memo.tasks` has the same for coroutines."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from store.memo import turns as memo_turns
from store.memo.records import HELD, NONE
from store.memo.sources import Outcome
from store.memo.turns import Turn
from store.system.clock import steady_clock

FOR_EVER = 1e9  # seconds


class Results(Protocol):
    """The stored outcomes of calls, as computing once uses them; `Records` are those of a memoized function."""

    label: str
    """The function, in messages."""
    exceptions: tuple[type[Exception], ...]
    """What is stored too if a call raises it."""

    def place(self) -> tuple[str, ...]:
        """Equal in this process for all that share the outcomes."""

    def hit(self, name: str) -> Outcome | None:
        """The stored outcome, which counts as a hit."""

    def due(self, name: str) -> str | None:
        """The version of an outcome that is to be computed anew before it expires; None: it is not."""

    def is_in(self, name: str, version: str) -> bool:
        """Whether the record is in that version still."""

    def note(self, *, hit: bool) -> None:
        """Count a call."""

    def keep(self, name: str, outcome: Outcome) -> bool:
        """Store an outcome; whether that went well."""

    def as_stored(self, name: str, outcome: Outcome) -> Outcome:
        """The outcome as later calls find it."""

    def lock(self, name: str, seconds: float) -> AbstractContextManager[str]:
        """Try to hold the lock between processes, one of which computes a call; gives HELD, BUSY or NONE."""

    def warn(self) -> None:
        """Warn the caller of failures, when nothing is locked."""


def once(records: Results, wait: float | None, name: str, call: Callable[[], Any]) -> Any:
    """The result of the call of that name: as stored, or as computed now by this caller or another."""
    try:
        outcome = records.hit(name)
        if outcome is None:
            outcome = _compute_once(records, wait, name, call)
        elif (version := records.due(name)) is not None:
            outcome = _compute_early(records, name, version, call) or outcome
        return outcome.get()
    finally:
        records.warn()


def _compute_once(records: Results, wait: float | None, name: str, call: Callable[[], Any]) -> Outcome:
    place, deadline = place_of(records, name), deadline_of(wait)
    while True:
        turn, mine = memo_turns.join(place)
        if mine:
            with turn.ending(), records.lock(name, patience(deadline)):
                found = records.hit(name)  # another process may have been first
                return found or _compute(records, turn, name, call)
        if not _waited(records, turn, name, deadline) or not turn.stored:
            with Turn(place).ending() as beside:
                return _compute(records, beside, name, call)
        found = records.hit(name)
        if found is not None:
            return found


def _compute_early(records: Results, name: str, version: str, call: Callable[[], Any]) -> Outcome | None:
    """The outcome in place of one that is to expire; None: another caller computes it, and that one is good still."""
    turn, mine = memo_turns.join((records.place(), name))
    if not mine:
        return None
    with turn.ending(), records.lock(name, 0) as state:
        if state != HELD or not records.is_in(name, version):
            return None
        return _compute(records, turn, name, call, is_early=True)


def _waited(records: Results, turn: Turn, name: str, deadline: float) -> bool:
    """Whether the turn has ended; False where it may not be waited for, or not for longer."""
    with memo_turns.waiting(turn) as may:
        if not may or turn.is_here():
            return False
        with records.lock(name, 0) as state:
            if state == NONE:  # in a transaction of this thread, in which no other can store
                return False
        return memo_turns.wait(turn, left(deadline))


def _compute(records: Results, turn: Turn, name: str, call: Callable[[], Any], *, is_early: bool = False) -> Outcome:
    if not is_early:  # which was counted as a hit
        records.note(hit=False)
    began = steady_clock()
    try:
        with turn.computing():
            outcome = Outcome(call(), seconds=steady_clock() - began)
    except records.exceptions as exc:
        turn.stored = records.keep(name, Outcome(exc, raised=True, seconds=steady_clock() - began))
        raise
    turn.stored = records.keep(name, outcome)
    return records.as_stored(name, outcome) if turn.stored else outcome


def place_of(records: Results, name: str) -> Hashable:
    """The place of a call's turns. Raises: RecursionError: the caller is inside of computing that call."""
    place = (records.place(), name)
    if any(turn.place == place for turn in memo_turns.held()):
        raise RecursionError(
            f"{records.label} calls itself with the same arguments, and would wait for its own result"
        )
    return place


def deadline_of(wait: float | None) -> float:
    return steady_clock() + min(FOR_EVER if wait is None else wait, FOR_EVER)


def left(deadline: float) -> float:
    """The seconds until then."""
    return max(0.0, deadline - steady_clock())


def patience(deadline: float) -> float:
    """The seconds to wait for the lock between processes; none inside of another computation."""
    return 0.0 if memo_turns.held() else left(deadline)
