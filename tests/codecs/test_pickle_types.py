"""The types of the objects in a pickle, noted while it is made."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pathlib
import pickle
import random
import uuid
from typing import Any

import pytest

from store.codecs.pickle.codec import dumps_with_types, types_in
from store.errors import NotSerializable, Untrusted


class Path:
    """Its name ends in a letter that is an opcode too."""


LONG = type("L" * 300, (), {"__module__": __name__})
globals()["L" * 300] = LONG

OBJECTS: list[Any] = [
    decimal.Decimal(1), datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), pathlib.PurePosixPath("x"), Path(),
    uuid.UUID(int=1), fractions.Fraction(1, 3), collections.OrderedDict(a=1), collections.Counter("a"), ValueError(1),
    NotSerializable("a"), LONG(), random.Random(1), {"Decimal": decimal.Decimal(1)}, slice(1, 2), Path, len,
]  # fmt: skip
PLAIN: list[Any] = [
    1, "a", b"c\nposix\nsystem\nq", None, [1, 2.5], {"a": {1, 2}}, (frozenset("a"),), ["x" * 100_000, b"y" * 100_000],
    [str(number) for number in range(20_000)],
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [*OBJECTS, *PLAIN], ids=lambda value: type(value).__name__[:20])
def test_noting_makes_the_same_bytes(value: Any, protocol: int) -> None:
    body, types = dumps_with_types([value, value], protocol, None)
    assert body == pickle.dumps([value, value], protocol)
    assert type(value) in types or value in (*PLAIN, Path) or isinstance(value, dict)
    assert types >= (types_in([value, value]) or set())


def test_types_are_those_of_all_objects() -> None:
    _, types = dumps_with_types({"a": [decimal.Decimal(1), {Path(): (uuid.UUID(int=1),)}], "b": OBJECTS}, 5, None)
    assert {decimal.Decimal, Path, uuid.UUID, LONG, random.Random} <= types
    assert not {type, dict, list, int} & types
    assert types_in(PLAIN) == set() and types_in(lambda: 1) is None


def test_noting_gives_buffers_out_and_passes_errors_on() -> None:
    buffers: list[pickle.PickleBuffer] = []
    body, _ = dumps_with_types([pickle.PickleBuffer(b"abc"), decimal.Decimal(1)], 5, buffers.append)
    assert pickle.loads(body, buffers=buffers)[1] == 1 and len(buffers) == 1
    with pytest.raises(TypeError):
        dumps_with_types([decimal.Decimal(1), (number for number in ())], 5, None)


def test_class_that_was_registered_is_reduced_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import copyreg

    monkeypatch.setitem(copyreg.dispatch_table, Path, lambda value: (str, ("instead",)))
    body, types = dumps_with_types([Path(), Path()], 5, None)
    assert pickle.loads(body) == ["instead", "instead"] and types == {Path}


def test_metaclass_is_pickled_by_its_name() -> None:
    body, types = dumps_with_types([collections.abc.Sized, Untrusted], 5, None)
    assert pickle.loads(body) == [collections.abc.Sized, Untrusted]
    assert types == set()
