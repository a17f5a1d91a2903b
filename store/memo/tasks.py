"""One task computes, the others wait, and the event loop goes on.

A thread waits for the lock between processes and writes the result: one for each call that is being computed, since a
lock belongs to the thread that took it, and since a computation could need all threads of an executor.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any

from store.memo import turns as memo_turns
from store.memo.once import deadline_of, left, patience, place_of
from store.memo.records import BUSY, HELD, Records
from store.memo.sources import Outcome
from store.memo.turns import Turn
from store.system.clock import steady_clock

Call = Callable[[], Awaitable[Any]]

GLANCE = 0.2  # seconds; how soon a thread that waits for a lock sees that its task was cancelled


async def once(records: Records, wait: float | None, name: str, call: Call) -> Any:
    """The result of the call of that name: as stored, or as computed now by this task or another."""
    try:
        outcome = records.hit(name)
        if outcome is None:
            outcome = await _compute_once(records, wait, name, call)
        elif (version := records.due(name)) is not None:
            outcome = await _compute_early(records, name, version, call) or outcome
        return outcome.get()
    finally:
        records.warn()


async def _compute_once(records: Records, wait: float | None, name: str, call: Call) -> Outcome:
    place, deadline = place_of(records, name), deadline_of(wait)
    while True:
        turn, mine = memo_turns.join(place)
        if mine:
            with turn.ending():
                return await _compute(records, turn, name, call, patience(deadline))
        with memo_turns.waiting(turn) as may:
            waited = may and await _wait(turn, left(deadline))
        if not waited or not turn.stored:
            with Turn(place).ending() as beside:
                return await _compute(records, beside, name, call, None)
        found = records.hit(name)
        if found is not None:
            return found


async def _compute_early(records: Records, name: str, version: str, call: Call) -> Outcome | None:
    """The outcome in place of one that is to expire; None: another caller computes it, and that one is good still."""
    turn, mine = memo_turns.join((records.place(), name))
    if not mine:
        return None
    with turn.ending():
        return await _compute(records, turn, name, call, 0.0, version)


async def _wait(turn: Turn, seconds: float) -> bool:
    """Wait until a turn has ended, which may be in another event loop; False after so many seconds."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    turn.when_finished(lambda: _tell(loop, ended, None))
    try:
        await asyncio.wait_for(ended, seconds)
    except TimeoutError:
        return False
    return True


async def _compute(
    records: Records, turn: Turn, name: str, call: Call, seconds: float | None, early: str | None = None
) -> Outcome:
    """Compute while a thread holds the lock; `seconds` is None beside another caller, which holds it.

    `early`: the version of an outcome that is good still; it is returned where another caller computes or has.
    """
    keeper = Keeper(records, name, seconds, early)
    keeper.start()
    found = worth_storing = None
    began = 0.0
    try:
        found = await keeper.begins
        if found is not None:
            outcome = found
        else:
            if early is None:  # else it was counted as a hit
                records.note(hit=False)
            began = steady_clock()
            with turn.computing():
                outcome = worth_storing = Outcome(await call(), seconds=steady_clock() - began)
    except Exception as exc:
        outcome = Outcome(exc, raised=True, seconds=steady_clock() - began)
        worth_storing = outcome if isinstance(exc, records.exceptions) else None
    finally:
        keeper.answer(worth_storing)
    stored = await keeper.ends
    keeper.join()  # it has nothing left to do
    turn.stored = stored or worth_storing is None
    if found is not None:
        if early is None:
            records.note(hit=True)
    elif stored and not outcome.raised:
        return records.as_stored(name, outcome)
    return outcome


class Keeper(threading.Thread):
    """Takes the lock for a task, holds it while the task computes, and stores the outcome."""

    def __init__(self, records: Records, name: str, seconds: float | None, early: str | None) -> None:
        super().__init__(name=f"memo {name}", daemon=True)  # a program that ends waits for no lock
        self._loop = asyncio.get_running_loop()
        self.begins: asyncio.Future[Outcome | None] = self._loop.create_future()  # the stored outcome; None: compute
        self.ends: asyncio.Future[bool] = self._loop.create_future()  # whether it was stored
        self._records = records
        self._record, self._seconds, self._early = name, seconds, early
        self._answers: SimpleQueue[Outcome | None] = SimpleQueue()

    def answer(self, outcome: Outcome | None) -> None:
        """Hand over the outcome; None: there is nothing to store."""
        self._answers.put(outcome)

    def run(self) -> None:
        stored = False
        try:
            if self._early is not None:
                stored = self._keep_early(self._early)
            else:
                stored = self._keep() if self._seconds is None else self._keep_alone(self._seconds)
        finally:  # whatever happens, the task goes on
            _tell(self._loop, self.begins, None)
            _tell(self._loop, self.ends, stored)

    def _keep_alone(self, seconds: float) -> bool:
        while True:
            glance = min(seconds, GLANCE)
            with self._records.lock(self._record, glance) as state:
                seconds -= glance
                if state != BUSY or seconds <= 0:
                    return self._keep()
            if not self._answers.empty():
                return False  # cancelled

    def _keep_early(self, version: str) -> bool:
        with self._records.lock(self._record, 0) as state:
            if state == HELD and self._records.is_in(self._record, version):
                return self._take(None)
        return self._keep()

    def _keep(self) -> bool:
        return self._take(self._records.find(self._record))

    def _take(self, found: Outcome | None) -> bool:
        """Give the task an outcome, or the word to compute; then store what it computed."""
        _tell(self._loop, self.begins, found)
        if found is not None:
            return True
        outcome = self._answers.get()
        return outcome is not None and self._records.keep(self._record, outcome)


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any) -> None:
    """Set the result of a future, from any thread, unless it is done or its loop is closed."""
    try:
        loop.call_soon_threadsafe(_set, future, value)
    except RuntimeError:
        pass  # closed: no task waits there any more


def _set(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
