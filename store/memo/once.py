"""One caller computes, the others wait: for functions. `store.memo.tasks` has the same for coroutines."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from store.memo import turns as memo_turns
from store.memo.records import NONE, Outcome, Records
from store.memo.turns import Turn
from store.system.clock import steady_clock

FOR_EVER = 1e9  # seconds


class Once:
    """Has each call of one function computed once. Safe across threads and processes."""

    def __init__(self, records: Records, wait: float | None) -> None:
        self.records = records
        self._wait = FOR_EVER if wait is None else min(wait, FOR_EVER)

    def call(self, name: str, call: Callable[[], Any]) -> Any:
        """The result of the call of that name: as stored, or as computed now by this caller or another."""
        try:
            outcome = self.hit(name) or self._compute_once(name, call)
            return outcome.get()
        finally:
            self.records.warn()

    def hit(self, name: str) -> Outcome | None:
        """The outcome that is stored, which counts as a hit."""
        found = self.records.find(name)
        if found is not None:
            self.records.note(hit=True)
        return found

    def place(self, name: str) -> Hashable:
        """The place of a call's turns. Raises: RecursionError: the caller is inside of computing that call."""
        place = (self.records.source.place(), name)
        if any(turn.place == place for turn in memo_turns.held()):
            raise RecursionError(
                f"{self.records.label} calls itself with the same arguments, and would wait for its own result"
            )
        return place

    def deadline(self) -> float:
        return steady_clock() + self._wait

    def _compute_once(self, name: str, call: Callable[[], Any]) -> Outcome:
        place, deadline = self.place(name), self.deadline()
        while True:
            turn, mine = memo_turns.join(place)
            if mine:
                with turn.ending(), self.records.lock(name, patience(deadline)):
                    return self.hit(name) or self._compute(turn, name, call)  # another process may have had the lock
            if not self._waited(turn, name, deadline) or not turn.stored:
                with Turn(place).ending() as beside:
                    return self._compute(beside, name, call)
            found = self.hit(name)
            if found is not None:
                return found

    def _waited(self, turn: Turn, name: str, deadline: float) -> bool:
        """Whether the turn has ended; False where it may not be waited for, or not for longer."""
        with memo_turns.waiting(turn) as may:
            if not may or turn.is_here():
                return False
            with self.records.lock(name, 0) as state:
                if state == NONE:  # in a transaction of this thread, in which no other can store
                    return False
            return memo_turns.wait(turn, left(deadline))

    def _compute(self, turn: Turn, name: str, call: Callable[[], Any]) -> Outcome:
        self.records.note(hit=False)
        try:
            with turn.computing():
                outcome = Outcome(call())
        except self.records.exceptions as exc:
            turn.stored = self.records.keep(name, Outcome(exc, raised=True))
            raise
        turn.stored = self.records.keep(name, outcome)
        return self.records.as_stored(name, outcome) if turn.stored else outcome


def left(deadline: float) -> float:
    """The seconds until then."""
    return max(0.0, deadline - steady_clock())


def patience(deadline: float) -> float:
    """The seconds to wait for the lock between processes; none inside of another computation."""
    return 0.0 if memo_turns.held() else left(deadline)
