"""`TaggedJSON`: what a session may hold by default comes back as it was, and nothing else is taken."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import pytest

from store import Store
from store.errors import Corrupt, NotSerializable
from store.sessions.tagged import TaggedJSON

VALUES = [
    {"a": [1, 2.5, None, True, "ü"], "_flashes": [("message", "Hello"), ("error", "x")]},
    (1, (2, [3])),
    {1, 2},
    frozenset("ab"),
    b"\0\xff",
    datetime(2026, 11, 30, 12, 0, 0, 123456),
    datetime(2026, 11, 30, 12, tzinfo=timezone(timedelta(hours=2))),
    date(2026, 11, 30),
    time(1, 2, 3, 4),
    timedelta(-1, 5, 6),
    Decimal("1.10"),
    UUID(int=7),
    {1: "a", (2, 3): {None: b"x"}},
    {"$tuple": [1]},
    {"$dict": [[1, 2]], "b": {"$unknown": 3}},
    {"$": {}},
    {"$a": 1, "$b": 2},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_comes_back_as_it_was(value):
    body = TaggedJSON().encode(value)
    json.loads(body)
    again = TaggedJSON().decode(body)
    assert (again, repr(again) if not isinstance(value, set | frozenset) else "") == (
        value, repr(value) if not isinstance(value, set | frozenset) else "",
    )  # fmt: skip


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [OrderedDict(), Colour.RED, object(), 1j, bytearray(b"x")], ids=repr)
def test_value_that_would_come_back_as_another_is_refused_with_its_path(value):
    with pytest.raises(NotSerializable, match=r"value\['a'\]\[1\]: a session has no .*codec 'pickle'") as caught:
        TaggedJSON().encode({"a": [0, value]})
    assert caught.value.path == "value['a'][1]"


def test_half_of_a_surrogate_pair_is_refused(path):
    with Store(path, codec=TaggedJSON()) as s, pytest.raises(NotSerializable):
        s["x"] = "\ud800"


@pytest.mark.parametrize("body", [b"{", b'{"$unknown": 1}', b'{"$datetime": 5}', b'{"$uuid": "x"}', b"[" * 100_000])
def test_bytes_that_no_session_has_are_corrupt(path, body):
    class Broken(TaggedJSON):
        def encode(self, value):
            return body

    with Store(path, codec=Broken()) as s:
        s["x"] = 1
    with Store(path, codec=TaggedJSON()) as s, pytest.raises(Corrupt):
        s["x"]
