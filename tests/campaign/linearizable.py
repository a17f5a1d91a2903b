"""Whether a history of concurrent operations on one record is linearizable: explained by some order of single steps.

Each operation takes effect at one moment between its call and its return; one that never returned, since its process
was killed, at some moment after its call, or never. The search is that of Wing and Gong (Testing and verifying
concurrent objects, 1993) with Lowe's memory of what was tried (Testing for linearizability, 2017), as Porcupine has it
(https://github.com/anishathalye/porcupine): a set of operations that led to a state need not be looked at twice. Every
name is checked by itself, which is enough (Herlihy and Wing's locality, 1990).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

CONFLICT = "conflict"
NEVER = 2**63


class Stored(NamedTuple):
    """A record: what its value says, different from every other write's, and how often it was written."""

    value: int
    revision: int


State = Stored | None


@dataclass(slots=True)
class Operation:
    """One call, by whom, on one name. `argument` and `result` are as `STEPS` says; times in nanoseconds."""

    who: str
    kind: str
    name: str
    argument: Any
    called: int
    returned: int = NEVER
    result: Any = None

    @property
    def is_pending(self) -> bool:
        return self.returned == NEVER

    def __str__(self) -> str:
        span = f"{self.called}..{'never' if self.is_pending else self.returned}"
        return f"{span} {self.who}: {self.kind} {self.name!r} {self.argument!r} -> {self.result!r}"


Step = Callable[[State, Any], tuple[State, Any]]


def _written(state: State, value: int) -> Stored:
    return Stored(value, 1 if state is None else state.revision + 1)


def _value(state: State) -> int | None:
    return None if state is None else state.value


def _put(state: State, value: int) -> tuple[State, Any]:
    after = _written(state, value)
    return after, after.revision


def _swap_if(state: State, argument: tuple[int | None, int]) -> tuple[State, Any]:
    expected, value = argument
    return _put(state, value) if _value(state) == expected else (state, CONFLICT)


def _set_default(state: State, value: int) -> tuple[State, Any]:
    return (_written(state, value), value) if state is None else (state, state.value)


def _swap_found(state: State, value: int) -> tuple[State, Any]:
    return (None, None) if state is None else (_written(state, value), state.value)


# What an operation makes of a record, and what it returns: (state, argument) → (state, result).
STEPS: dict[str, Step] = {
    "get": lambda state, _: (state, _value(state)),
    "look": lambda state, _: (state, None if state is None else tuple(state)),  # value and revision, of one moment
    "has": lambda state, _: (state, state is not None),
    "set": lambda state, value: (_written(state, value), None),
    "put": _put,  # gives the revision
    "delete": lambda state, _: (None, state is not None),
    "pop": lambda state, _: (None, _value(state)),
    "modify": lambda state, value: (_written(state, value), _value(state)),  # gives the value that was there before
    "edit": _swap_found,  # the same; nothing where there is none
    "compare-and-set": _swap_if,  # of (expected value or None, value): gives the revision, or CONFLICT
    "setdefault": _set_default,
}


def is_linearizable(operations: Iterable[Operation], state: State = None) -> bool:
    """Whether operations on one name can be put in order, beginning with that state."""
    history = sorted(operations, key=lambda one: one.called)
    needed = sum(1 << i for i, one in enumerate(history) if not one.is_pending)
    tried: set[tuple[int, State]] = set()
    ahead = [(0, state)]
    while ahead:
        done, state = ahead.pop()
        if done & needed == needed:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        for i in _next(history, done):
            one = history[i]
            after, result = STEPS[one.kind](state, one.argument)
            if one.is_pending or result == one.result:
                ahead.append((done | 1 << i, after))
    return False


def _next(history: Sequence[Operation], done: int) -> list[int]:
    """Those that may come next: they were called before any other one that is left had returned."""
    found = []
    first_return = NEVER
    for i, one in enumerate(history):
        if done >> i & 1:
            continue
        if one.called > first_return:
            break
        found.append(i)
        first_return = min(first_return, one.returned)
    return found


def unexplained(operations: Iterable[Operation]) -> list[str]:
    """The history of each name that is not linearizable, as text."""
    by_name: dict[str, list[Operation]] = {}
    for one in operations:
        by_name.setdefault(one.name, []).append(one)
    return [
        "\n".join([f"no order of single steps explains what was seen of {name!r}:", *map(str, sorted(some, key=_time))])
        for name, some in by_name.items()
        if not is_linearizable(some)
    ]


def _time(operation: Operation) -> int:
    return operation.called
