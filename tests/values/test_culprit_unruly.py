"""The search among objects that do not behave: it raises nothing, and asks for nothing that pickling would not."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from holders import Counting, Held, found_by

from store.values.culprit import parts as culprit_parts
from store.values.culprit import search as search
from store.values.culprit.search import find

LOCK = threading.Lock()


class Endless:
    """Each time it is asked it is made of a new one."""

    made = 0

    def __getstate__(self) -> Any:
        Endless.made += 1
        return {"next": Endless()}


def test_endless_objects_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PROBES", 100)
    monkeypatch.setattr(search, "MOST_AHEAD", 256)
    monkeypatch.setattr(Endless, "made", 0)

    def encode(part: Any) -> None:
        if any(type(each) is Endless for each in (part if type(part) is list else [part])):
            raise TypeError("no")

    encode_counting = Counting(encode)
    assert found_by(Endless(), encode_counting).path.startswith("value")
    assert encode_counting.calls <= 100 + 3
    assert Endless.made < 100 * 256


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
    culprit = found_by({"a": [1, Unruly(lambda: value)]})
    assert culprit.path.startswith("value['a'][1]")
    assert (culprit.value is LOCK) is ("lock" in repr(value))


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError(), RecursionError(), StopIteration(), LookupError(LOCK)])
def test_method_that_raises(error: Exception) -> None:
    culprit = found_by([1, Unruly(raising(error))])
    assert culprit.error is error or isinstance(error, RecursionError | StopIteration)
    assert culprit.path == ("value" if isinstance(error, RecursionError) else "value[1]")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupt_passes(error: type[BaseException]) -> None:
    with pytest.raises(error):
        find([1, Unruly(raising(error()))], pickle.dumps, 5)


def test_object_that_fails_only_at_first() -> None:
    calls = itertools.count()

    def act() -> Any:
        if next(calls) < 2:
            raise KeyError("early")
        return int, ()

    assert found_by([[Unruly(act)]]).path.startswith("value")


def test_iterator_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit_parts, "MOST_ITEMS", 1000)

    class Forever(Held):
        def __reduce__(self) -> Any:
            return Held, (), None, itertools.chain([LOCK], itertools.repeat(0))

    assert found_by([Forever()]).path == "value[0][0]"


def test_value_that_changes_while_it_is_searched() -> None:
    value: dict[Any, Any] = {}

    def act() -> Any:
        value[len(value)] = len(value)
        return int, (), [LOCK]

    value["x"] = Unruly(act)
    assert found_by(value).path.startswith("value")


class Made(Held):
    """What `Making` makes, each time it is asked."""


class Making(Held):
    def __getstate__(self) -> Any:
        made = {f"made {n}": Made(held=[n]) for n in range(30)}
        self.report(made)
        return {**made, "next": self.next}  # it comes last: the others pass, and nothing else keeps them


def test_objects_made_on_the_fly_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told apart by their ids, and a later one at the same address must not pass for one already seen."""
    monkeypatch.setattr(search, "LOOK_AHEAD", 1)
    encoding, lost = False, []
    made_for_the_search: list[weakref.ref[Any]] = []

    def report(made: dict[str, Any]) -> None:
        if not encoding:
            made_for_the_search.extend(map(weakref.ref, made.values()))

    def encode(part: Any) -> None:
        nonlocal encoding
        gc.collect()  # what is dropped is in circles with the errors that it raised
        lost.extend(ref for ref in made_for_the_search if ref() is None)
        encoding = True
        try:
            pickle.dumps(part)
        finally:
            encoding = False

    monkeypatch.setattr(Making, "report", staticmethod(report), raising=False)
    value: Any = LOCK
    for _ in range(6):
        value = Making(next=value)
    gc.freeze()
    try:
        culprit = found_by(value, encode)
    finally:
        gc.unfreeze()
    assert culprit.path == "value" + ".next" * 6
    assert len(made_for_the_search) >= 6 * 30
    assert lost == []
