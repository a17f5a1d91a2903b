"""Turns: in one process, a call is computed by one thread or task while the others wait.

Waiters are woken, they do not poll. Between processes a named lock of the store decides; see `store.memo.records`.

A computation can call other memoized functions, and so keeps others waiting while it waits itself. To exclude a
deadlock it waits only for a call that is computed in this process, and only if that computation does not wait, by any
detour, for one of its own. In all other cases it computes the call too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from store.system import forking

_mutex = threading.RLock()  # for all state below, a few instructions at a time; a finalizer may run in between
_turns: dict[Hashable, Turn] = {}


class Turn:
    """The computation of one call in this process, from the decision to compute it until its end.

    `stored` tells those who waited whether they will find the result. `is_free` is set once it waits for no other
    process; `waits_for` counts the turns of other calls that it waits for, under this module's lock.
    """

    def __init__(self, place: Hashable) -> None:
        self.place = place
        self.thread = threading.get_ident()
        self.finished = False
        self.stored = True
        self.is_free = bool(held())  # inside of another computation, nobody waits for another process
        self.waits_for: Counter[Turn] = Counter()
        self._callbacks: list[Callable[[], None]] = []

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While the function runs: the calls that it makes know that they are inside of it."""
        token = _inside.set((*held(), self))
        self.is_free = True
        try:
            yield
        finally:
            try:
                _inside.reset(token)
            except ValueError:
                pass  # a coroutine that was dropped is closed in another context

    @contextmanager
    def ending(self) -> Iterator[Turn]:
        """The turn ends with the block, and all who wait for it are woken."""
        try:
            yield self
        finally:
            with _mutex:
                self.finished = True
                if _turns.get(self.place) is self:
                    del _turns[self.place]
                callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def when_finished(self, callback: Callable[[], None]) -> None:
        """Call back once it has finished, in the thread where it did, or now."""
        with _mutex:
            if not self.finished:
                self._callbacks.append(callback)
                return
        callback()

    def is_here(self) -> bool:
        """Whether this very thread computes it: below the caller, or in a greenlet or task that is suspended."""
        return self.thread == threading.get_ident()


_inside: ContextVar[tuple[Turn, ...]] = ContextVar("store_memo_inside", default=())


def held() -> tuple[Turn, ...]:
    """The turns that this thread or task is inside of, from the outside in."""
    return tuple(turn for turn in _inside.get() if not turn.finished)


def join(place: Hashable) -> tuple[Turn, bool]:
    """The turn of that place, and whether it is the caller's own, which the caller must end."""
    with _mutex:
        turn = _turns.get(place)
        if turn is not None:
            return turn, False
        turn = _turns[place] = Turn(place)
        return turn, True


@contextmanager
def waiting(turn: Turn) -> Iterator[bool]:
    """Whether the caller may wait for that turn; while the block runs, it counts as waiting."""
    mine = held()
    with _mutex:
        may = not mine or (turn.is_free and not _leads_to(turn, mine))
        if may:
            for one in mine:
                one.waits_for[turn] += 1
    try:
        yield may
    finally:
        if may:
            with _mutex:
                for one in mine:
                    one.waits_for -= Counter((turn,))  # drops a count of zero


def _leads_to(turn: Turn, mine: tuple[Turn, ...]) -> bool:
    """Whether a turn waits, by any detour, for a turn of this caller. Under the mutex."""
    seen: set[Turn] = set()
    ahead = [turn]
    while ahead:
        one = ahead.pop()
        if one in mine:
            return True
        if one not in seen:
            seen.add(one)
            ahead.extend(one.waits_for)
    return False


def wait(turn: Turn, seconds: float | None) -> bool:
    """Wait in this thread until a turn has ended; False after so many seconds."""
    event = threading.Event()
    turn.when_finished(event.set)
    return event.wait(seconds)


def _forget() -> None:
    """In a forked child: computations of the parent's threads are not waited for."""
    global _mutex  # noqa: PLW0603
    _mutex = threading.RLock()
    _turns.clear()


forking.register(forking.Stage.MEMO, in_child=_forget)
