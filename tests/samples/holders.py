"""Objects that hold one part, each in a way of its own, and the search for it: for the tests of culprits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pytest

from store.codecs import codecs
from store.errors import NotSerializable
from store.values.culprit import find
from store.values.remedies import Culprit, cause_of

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


def found(value: Any, protocol: int = 5, codec: str = "pickle") -> Culprit:
    """The culprit of a value that a codec refuses."""
    chosen: Any = codecs.load(codec)
    attempt = partial(encoded, chosen, protocol)
    with pytest.raises(NotSerializable) as caught:
        attempt(value)
    culprit = find(value, cause_of(caught.value), chosen.pickler, protocol, attempt)
    assert culprit is not None
    return culprit


def encoded(codec: Any, protocol: int, part: Any) -> Any:
    return codec.encode(part, protocol)
