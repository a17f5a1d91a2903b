"""The search among objects that do not behave: it raises nothing, and asks for nothing that pickling would not."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from holders import Held, found

from store.classes.placeholder import PythonPickler
from store.values import culprit as culprit_module
from store.values.culprit import find

LOCK = threading.Lock()


class Endless:
    """Each time it is asked it is made of a new one."""

    made = 0

    def __getstate__(self) -> Any:
        Endless.made += 1
        return {"next": Endless()}


def test_endless_objects_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit_module, "MOST_PARTS", 1000)
    monkeypatch.setattr(Endless, "made", 0)
    culprit = find(Endless(), TypeError("no"), PythonPickler, 5, lambda part: None)
    assert culprit is not None and culprit.path == "value"
    assert Endless.made <= 1000


class Unruly:
    """Does what it is told to when it is pickled."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.act()

    def __eq__(self, other: object) -> bool:
        raise AssertionError("nobody asks for this")

    __hash__ = object.__hash__
    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __eq__  # type: ignore[assignment]

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise AssertionError("nobody asks for this")

    @property
    def name(self) -> Any:
        raise AssertionError("nobody asks for this")


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


NONSENSE: list[Any] = [
    None, 5, (), (1,), (1, 2), (int, [1]), (int, (1,), 5, 6, 7, 8, 9), (int, (1,), None, 5), (int, (), None, None, [1]),
    (int, ("x",), LOCK), (int, (), None, None, None, LOCK), (LOCK, ()), (int, (), (None, {1: LOCK})), "no such name",
]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
def test_reduce_that_returns_nonsense(value: Any) -> None:
    culprit = found({"a": [1, Unruly(lambda: value)]})
    assert culprit.path.startswith("value['a'][1]")
    held = value[1:5] if type(value) is tuple else ()  # what is no function in place of one is the fault of the object
    assert (culprit.value is LOCK) is ("lock" in repr(held))


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError(), RecursionError(), StopIteration(), LookupError(LOCK)])
def test_method_that_raises(error: Exception) -> None:
    culprit = found([1, Unruly(raising(error))])
    assert culprit.error is error or isinstance(error, RecursionError | StopIteration)
    assert culprit.path == ("value" if isinstance(error, RecursionError) else "value[1]")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupt_passes(error: type[BaseException]) -> None:
    with pytest.raises(error):
        find([1, Unruly(raising(error()))], TypeError(), PythonPickler, 5, pickle.dumps)


def test_object_that_fails_only_at_first() -> None:
    calls = itertools.count()

    def act() -> Any:
        if next(calls) < 3:
            raise KeyError("early")
        return int, ()

    assert found([[Unruly(act)]]).path.startswith("value")


def test_iterator_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit_module, "MOST_PARTS", 1000)

    class Forever(Held):
        def __reduce__(self) -> Any:
            return Held, (), None, itertools.chain([LOCK], itertools.repeat(0))

    assert found([Forever()]).path == "value[0][0]"


def test_value_that_changes_while_it_is_searched() -> None:
    value: dict[Any, Any] = {}

    def act() -> Any:
        value[len(value)] = len(value)
        return int, (), [LOCK]

    value["x"] = Unruly(act)
    assert found(value).path.startswith("value")
