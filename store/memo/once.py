"""One caller computes, the others wait: for functions. `store.memo.tasks` has the same for coroutines."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any

from store.memo import turns as memo_turns
from store.memo.records import NONE, Outcome, Records
from store.memo.turns import Turn
from store.system.clock import steady_clock

FOR_EVER = 1e9  # seconds


class Once:
    """Lets calls of one function be computed once. Safe across threads and processes."""

    def __init__(self, records: Records, wait: float | None) -> None:
        self.records = records
        self._wait = FOR_EVER if wait is None else min(wait, FOR_EVER)

    def call(self, name: str, call: Callable[[], Any]) -> Any:
        """What the call of that name came to: as stored, or as computed now, by this caller or another."""
        try:
            found = self.records.find(name)
            outcome = self._compute_once(name, call) if found is None else self.hit(found)
            return outcome.get()
        finally:
            self.records.warn()

    def place(self, name: str) -> Hashable:
        """What the turns of a call go by. Raises: RecursionError: the caller is inside of computing it."""
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
                with turn.ending():
                    return self._compute_alone(turn, name, call, deadline)
            if not self._waited(turn, name, deadline) or not turn.stored:
                with Turn(place).ending() as beside:
                    return self.compute(beside, name, call)
            found = self.records.find(name)
            if found is not None:
                return self.hit(found)

    def _waited(self, turn: Turn, name: str, deadline: float) -> bool:
        """Whether the turn is over, as opposed to one that may not be waited for, or not for longer."""
        with memo_turns.waiting(turn) as may:
            return (
                may
                and not turn.is_here()
                and self._outside_transactions(name)
                and memo_turns.wait(turn, left(deadline))
            )

    def _outside_transactions(self, name: str) -> bool:
        """Whoever computes will have to write, and cannot while this thread is in a transaction."""
        with self.records.lock(name, 0) as state:
            return state != NONE

    def _compute_alone(self, turn: Turn, name: str, call: Callable[[], Any], deadline: float) -> Outcome:
        with self.alone(name, deadline):
            found = self.records.find(name)  # somebody else may have had the lock before
            return self.compute(turn, name, call) if found is None else self.hit(found)

    def alone(self, name: str, deadline: float) -> AbstractContextManager[str]:
        """The lock between processes; who is inside of computing something takes it only if it is free."""
        return self.records.lock(name, 0 if memo_turns.held() else left(deadline))

    def compute(self, turn: Turn, name: str, call: Callable[[], Any]) -> Outcome:
        """Run the function, and store what it comes to."""
        self.records.note(hit=False)
        try:
            with turn.computing():
                outcome = Outcome(call())
        except self.records.exceptions as exc:
            turn.stored = self.records.keep(name, Outcome(exc, raised=True))
            raise
        turn.stored = self.records.keep(name, outcome)
        return self.records.as_stored(name, outcome) if turn.stored else outcome

    def hit(self, found: Outcome) -> Outcome:
        self.records.note(hit=True)
        return found


def left(deadline: float) -> float:
    return max(0.0, deadline - steady_clock())
