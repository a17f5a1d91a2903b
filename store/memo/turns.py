"""Whose turn it is: in one process, a call is computed by one thread or task while the others wait.

Waiters are woken, they do not poll. Between processes a named lock of the store decides; see `store.memo.records`.

Who is computing, and so keeps others waiting, must not wait for ever for somebody who waits for it: it waits only
for a call that is being computed in this process, and only where that one does not, by any detour, wait for a call
that the waiter itself is computing. In all other cases it computes what somebody else is computing too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from store.system import forking

_mutex = threading.RLock()  # for all that is below, a few instructions at a time; a finaliser may come between
_turns: dict[Hashable, Turn] = {}


class Turn:
    """The computing of one call in this process, from the decision to do it until its end."""

    def __init__(self, place: Hashable) -> None:
        self.place = place
        self._thread = threading.get_ident()
        self.finished = False
        self.stored = True  # whether those who waited can look forward to finding the result
        self._goes_on = bool(held())  # whether it waits for no other process, or no longer: who is inside never does
        self._callbacks: list[Callable[[], None]] = []
        self._waits_for: Counter[Turn] = Counter()  # of what it calls, and that others are computing

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While the function runs: calls from inside know that they are."""
        token = _inside.set((*held(), self))
        self._goes_on = True
        try:
            yield
        finally:
            try:
                _inside.reset(token)
            except ValueError:
                pass  # a coroutine that was dropped is closed in whatever context there is

    @contextmanager
    def ending(self) -> Iterator[Turn]:
        """The turn is over with the block, whatever becomes of it."""
        try:
            yield self
        finally:
            self.finish()

    def finish(self) -> None:
        """Wakes all who wait; a second call does nothing."""
        with _mutex:
            if self.finished:
                return
            self.finished = True
            if _turns.get(self.place) is self:
                del _turns[self.place]
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_finished(self, callback: Callable[[], None]) -> None:
        """Calls back once it has finished, from the thread where it did, or now."""
        with _mutex:
            if not self.finished:
                self._callbacks.append(callback)
                return
        callback()

    def is_here(self) -> bool:
        """Whether this very thread computes it, below the caller or in a greenlet or task that is suspended."""
        return self._thread == threading.get_ident()

    def _leads_to(self, mine: tuple[Turn, ...]) -> bool:
        """Whether it waits, by any detour, for one of mine. Under the mutex."""
        seen: set[Turn] = set()
        ahead = [self]
        while ahead:
            turn = ahead.pop()
            if turn in mine:
                return True
            if turn not in seen:
                seen.add(turn)
                ahead.extend(turn._waits_for)
        return False


_inside: ContextVar[tuple[Turn, ...]] = ContextVar("store_memo_inside", default=())


def held() -> tuple[Turn, ...]:
    """What this thread or task is inside of computing, from the outside in."""
    return tuple(turn for turn in _inside.get() if not turn.finished)


def join(place: Hashable) -> tuple[Turn, bool]:
    """The turn of that place, and whether it is the caller's own, who must finish it."""
    with _mutex:
        turn = _turns.get(place)
        if turn is not None:
            return turn, False
        turn = _turns[place] = Turn(place)
        return turn, True


@contextmanager
def waiting(turn: Turn) -> Iterator[bool]:
    """Whether the caller may wait for that turn, and it is noted while the block runs that it does."""
    mine = held()
    with _mutex:
        may = not mine or (turn._goes_on and not turn._leads_to(mine))
        if may:
            for one in mine:
                one._waits_for[turn] += 1
    try:
        yield may
    finally:
        if may:
            with _mutex:
                for one in mine:
                    one._waits_for[turn] -= 1
                    one._waits_for += Counter()  # drops what has come to zero


def wait(turn: Turn, seconds: float | None) -> bool:
    """Waits in this thread until a turn is over; False after so many seconds."""
    event = threading.Event()
    turn.when_finished(event.set)
    return event.wait(seconds)


def _forget() -> None:
    """In a forked child: what threads of the parent compute is not ours to wait for."""
    global _mutex  # noqa: PLW0603
    _mutex = threading.RLock()
    _turns.clear()


forking.register(forking.Stage.MEMO, in_child=_forget)
