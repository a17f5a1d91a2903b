"""The names in a pickle, found without reading it; and whether there were any, told while it was made."""

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

from store.codecs.pickle import dumps_noting
from store.codecs.pickle.description import describe
from store.codecs.pickle.globals import named_in
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
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__[:20])
def test_no_name_is_missed(value: Any, protocol: int) -> None:
    body = pickle.dumps([value, value, OBJECTS[1]], protocol)
    named, _, problem = describe(body)
    assert problem is None
    spelled = {each.name.decode() for each in named_in(body, protocol)}
    missing = {dotted.rpartition(".")[2] for dotted in named} - spelled
    # A name that was in the pickle before, or a long one, is there without its letters.
    assert not missing or (len(missing) == 1 and "" in spelled)


@pytest.mark.parametrize("size", range(65_536 - 90, 65_536 + 10))
def test_names_at_the_end_of_a_frame(size: int) -> None:
    body = pickle.dumps(["a" * (size // 2), "b" * (size - size // 2), decimal.Decimal(1), Path()], 5)
    assert named_in(body, 5) == [(b"decimal", b"Decimal"), (__name__.encode(), b"Path")]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [*OBJECTS, *PLAIN], ids=lambda value: type(value).__name__[:20])
def test_noting_makes_the_same_bytes(value: Any, protocol: int) -> None:
    body, is_other = dumps_noting([value, value], protocol, None)
    assert body == pickle.dumps([value, value], protocol)
    assert is_other or value in (*PLAIN, len, Path)


def test_noting_gives_buffers_out_and_passes_errors_on() -> None:
    buffers: list[pickle.PickleBuffer] = []
    body, _ = dumps_noting([pickle.PickleBuffer(b"abc"), decimal.Decimal(1)], 5, buffers.append)
    assert pickle.loads(body, buffers=buffers)[1] == 1 and len(buffers) == 1
    with pytest.raises(TypeError):
        dumps_noting([decimal.Decimal(1), (number for number in ())], 5, None)


def test_class_that_was_registered_is_reduced_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import copyreg

    monkeypatch.setitem(copyreg.dispatch_table, Path, lambda value: (str, ("instead",)))
    body, is_other = dumps_noting([Path(), Path()], 5, None)
    assert pickle.loads(body) == ["instead", "instead"] and is_other


def test_metaclass_is_pickled_by_its_name() -> None:
    body, _ = dumps_noting([collections.abc.Sized, Untrusted], 5, None)
    assert pickle.loads(body) == [collections.abc.Sized, Untrusted]
