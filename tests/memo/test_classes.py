"""Canonical forms of classes and of values that are known by their class, where names do not tell them apart."""

from __future__ import annotations

import abc
import datetime as dt
import functools
import sys
import threading
import typing
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, Flag
from types import ModuleType
from typing import Any

import pytest

from store.memo.canonical.form import canonical


def plain(n: Any) -> type[Any]:
    class Made:
        rate = n

    return Made


def with_method(n: Any) -> type[Any]:
    class Made:
        def rate(self) -> Any:
            return n

    return Made


def with_wrapped_methods(n: Any) -> type[Any]:
    class Made:
        @classmethod
        def of_class(cls) -> Any:
            return n

        @staticmethod
        def of_none() -> int:
            return 1

        @property
        def value(self) -> int:
            return 1

        @functools.cached_property
        def cached(self) -> int:
            return 1

    return Made


def with_base(n: Any) -> type[Any]:
    return type("Made", (plain(n),), {})


def that_knows_itself(n: Any) -> type[Any]:
    class Made:
        def __init__(self) -> None:
            super().__init__()
            self.rate = n

    Made.me = Made  # type: ignore[attr-defined]
    return Made


def dataclass_of(n: Any) -> type[Any]:
    @dataclass
    class Made:
        rate: int = n
        rates: list[int] = field(default_factory=lambda: [n])

    return Made


def typed_tuple(n: Any) -> type[Any]:
    class Made(typing.NamedTuple):
        rate: int = 1

        def times(self) -> Any:
            return self.rate * n

    return Made


def enum_of(n: Any) -> type[Any]:
    return Enum("Made", {"LOW": n})


def enum_with_method(n: Any) -> type[Any]:
    class Made(Flag):
        LOW = 1

        def times(self) -> Any:
            return n

    return Made


def abstract(n: Any) -> type[Any]:
    class Made(abc.ABC):
        @abc.abstractmethod
        def rate(self) -> int:
            return n  # type: ignore[no-any-return]

    return Made


def of_type(n: Any) -> type[Any]:
    return type("Made", (), {"rate": lambda self: n, "rates": [n, {n}]})


FACTORIES = [
    plain, with_method, with_wrapped_methods, with_base, that_knows_itself, dataclass_of, typed_tuple, enum_of, enum_with_method,
    abstract, of_type,
]  # fmt: skip


@pytest.mark.parametrize("make", FACTORIES)
def test_classes_of_a_factory_by_their_content(make: Callable[[Any], type[Any]]) -> None:
    one, again, other = make(1), make(1), make(2)
    assert canonical(one) == canonical(again) != canonical(other)
    assert canonical({one, other}) == canonical({other, again})


def test_values_of_classes_of_a_factory() -> None:
    assert canonical(dataclass_of(1)(5, [1])) == canonical(dataclass_of(1)(5, [1])) != canonical(dataclass_of(2)(5, [1]))
    assert canonical(typed_tuple(1)(5)) == canonical(typed_tuple(1)(5)) != canonical(typed_tuple(2)(5))
    assert canonical(enum_of(1).LOW) == canonical(enum_of(1).LOW) != canonical(enum_of(2).LOW)  # type: ignore[attr-defined]
    one, other = namedtuple("Row", "buy sell"), namedtuple("Row", "sell buy")
    assert canonical(one(1, 2)) == canonical(namedtuple("Row", "buy sell")(1, 2)) != canonical(other(1, 2))


def test_classes_that_cannot_be_told_apart() -> None:
    for value in (plain(threading.Lock()), enum_of(object()).LOW):  # type: ignore[attr-defined]
        with pytest.raises(TypeError, match="no canonical form"):
            canonical(value)


class Marker(Enum):
    ONE = threading.Lock()
    TWO = threading.Lock()  # noqa: PIE796


def test_members_whose_values_only_tell_them_apart() -> None:
    assert canonical(Marker.ONE) == canonical(Marker.ONE) != canonical(Marker.TWO)


def test_imported_class_by_its_name_and_one_of_the_program_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    forms: dict[str, list[bytes]] = {}
    for name in ("imported", "__main__"):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        for rate in (1, 1, 2):
            text = f"class Tax:\n    rate = {rate}\n    kept = []\n    lock = __import__('threading').Lock()\n"
            exec(text, module.__dict__)
            forms.setdefault(name, []).append(canonical(module.Tax))
    assert len(set(forms["imported"])) == 1
    assert forms["__main__"][0] == forms["__main__"][1] != forms["__main__"][2]


def test_pickling_does_not_change_a_class() -> None:
    made = dataclass_of(1)
    before = canonical(made)
    made(1).__reduce_ex__(2)  # puts names of slots into the class
    assert canonical(made) == before


@pytest.mark.slow
def test_frozen_time_is_time() -> None:
    freezegun = pytest.importorskip("freezegun", reason="freezegun is not installed: keys of its dates are not tested")
    moment, day = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC), dt.date(2026, 1, 1)
    with freezegun.freeze_time("2026-01-01 12:00"):
        assert canonical(dt.datetime.now(dt.UTC)) == canonical(moment)
        assert canonical(dt.date.today()) == canonical(day)
        assert canonical(moment) != canonical(day)
