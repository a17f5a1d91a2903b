"""One caller computes, the others wait: for functions. `store.memo.tasks` has the same for coroutines."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from store.memo import turns as memo_turns
from store.memo.records import NONE, Outcome, Records
from store.memo.turns import Turn
from store.system.clock import steady_clock

FOR_EVER = 1e9  # seconds


def once(records: Records, wait: float | None, name: str, call: Callable[[], Any]) -> Any:
    """The result of the call of that name: as stored, or as computed now by this caller or another."""
    try:
        outcome = records.hit(name) or _compute_once(records, wait, name, call)
        return outcome.get()
    finally:
        records.warn()


def _compute_once(records: Records, wait: float | None, name: str, call: Callable[[], Any]) -> Outcome:
    place, deadline = place_of(records, name), deadline_of(wait)
    while True:
        turn, mine = memo_turns.join(place)
        if mine:
            with turn.ending(), records.lock(name, patience(deadline)):
                return records.hit(name) or _compute(records, turn, name, call)  # another process may have been first
        if not _waited(records, turn, name, deadline) or not turn.stored:
            with Turn(place).ending() as beside:
                return _compute(records, beside, name, call)
        found = records.hit(name)
        if found is not None:
            return found


def _waited(records: Records, turn: Turn, name: str, deadline: float) -> bool:
    """Whether the turn has ended; False where it may not be waited for, or not for longer."""
    with memo_turns.waiting(turn) as may:
        if not may or turn.is_here():
            return False
        with records.lock(name, 0) as state:
            if state == NONE:  # in a transaction of this thread, in which no other can store
                return False
        return memo_turns.wait(turn, left(deadline))


def _compute(records: Records, turn: Turn, name: str, call: Callable[[], Any]) -> Outcome:
    records.note(hit=False)
    try:
        with turn.computing():
            outcome = Outcome(call())
    except records.exceptions as exc:
        turn.stored = records.keep(name, Outcome(exc, raised=True))
        raise
    turn.stored = records.keep(name, outcome)
    return records.as_stored(name, outcome) if turn.stored else outcome


def place_of(records: Records, name: str) -> Hashable:
    """The place of a call's turns. Raises: RecursionError: the caller is inside of computing that call."""
    place = (records.source.place(), name)
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
