"""Objects that hold one part, each in a way of its own, and encoders to look for it with: for the tests of culprits."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from store.values.culprit.search import Culprit, find

PROTOCOLS = (0, 2, 5)
LOCK = threading.Lock()
PROBLEM: Any = (1 for _ in ())  # a generator: no codec can hold one


class Held:
    """Holds `held`, as most objects do."""

    def __init__(self, held: Any = None, **others: Any) -> None:
        self.__dict__.update(others, held=held)


@dataclass
class Data:
    held: Any
    other: int = 1


class Slots:
    __slots__ = ("__private", "held", "never_set")

    def __init__(self, held: Any, private: Any = None) -> None:
        self.held, self.__private = held, private


class WithState(Held):
    def __getstate__(self) -> dict[str, Any]:
        return {"attribute": self.held, "other": 1}


class MakesState(Held):
    def __getstate__(self) -> dict[str, Any]:
        return {"made": [1, {"x": self.held}]}

    held_by_property = property(lambda self: self.__dict__["held"])


class Reduced(Held):
    def __reduce__(self) -> Any:
        return Reduced, (1, self.held)


class MakesArguments:
    def __init__(self, held: Any) -> None:
        self.box = [held]

    def __reduce__(self) -> Any:
        return MakesArguments, (1, [0, self.box[:]])

    def __repr__(self) -> str:
        raise AssertionError("nobody asks for this")


class Pair(NamedTuple):
    left: Any
    right: Any


class ListLike(list):
    pass


def pickled_with(dumps: Callable[..., Any], protocol: int) -> Callable[[Any], Any]:
    return lambda part: dumps(part, protocol=protocol)


def found(value: Any, protocol: int = 5, dumps: Callable[..., Any] = pickle.dumps) -> Culprit:
    culprit = find(value, pickled_with(dumps, protocol), protocol)
    assert culprit is not None
    return culprit


class Counting:
    """An encoder that counts its calls, and the objects it was given in lists to encode at once."""

    def __init__(self, encode: Callable[[Any], Any] = pickle.dumps) -> None:
        self.encode, self.calls, self.size = encode, 0, 0

    def __call__(self, part: Any) -> None:
        self.calls += 1
        self.size += len(part) if isinstance(part, list | dict) else 1
        self.encode(part)


def found_by(value: Any, encode: Callable[[Any], Any] = pickle.dumps) -> Culprit:
    culprit = find(value, encode, 5)
    assert culprit is not None
    return culprit
