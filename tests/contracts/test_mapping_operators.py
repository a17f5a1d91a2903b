"""The contract of the mapping, continued: operators, comparisons, conversions; on every kind of store."""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest

from store import Store
from store.cache import Cache

MODEL: dict[str, Any] = {"a": 1, "b": "two", "c": [3]}


class TestOperators:
    def test_or_gives_a_plain_dict(self, full: Store[Any]) -> None:
        both = full | {"b": 2, "d": 4}
        assert type(both) is dict
        assert list(both.items()) == list((MODEL | {"b": 2, "d": 4}).items())
        assert full == MODEL

    def test_ror_gives_a_plain_dict(self, full: Store[Any]) -> None:
        both = {"b": 2, "d": 4} | full
        assert type(both) is dict
        assert list(both.items()) == list(({"b": 2, "d": 4} | MODEL).items())

    def test_or_of_two_stores(self, full: Store[Any]) -> None:
        with Store[Any](":memory:") as other:
            other["b"] = 2
            assert full | other == MODEL | {"b": 2}
            assert other | full == {"b": "two", "a": 1, "c": [3]}

    def test_ior_is_update(self, full: Store[Any]) -> None:
        before = full
        full |= {"b": 2}
        full |= [("d", 4)]
        assert full is before
        assert list(full.items()) == [("a", 1), ("b", 2), ("c", [3]), ("d", 4)]

    def test_dict_ior_takes_a_store(self, full: Store[Any]) -> None:
        model: dict[str, Any] = {"z": 0}
        model |= full
        assert model == {"z": 0, **MODEL}

    def test_or_with_something_else_is_a_type_error(self, full: Store[Any]) -> None:
        others: list[Any] = [None, 5, [("a", 1)], "ab"]
        for other in others:
            with pytest.raises(TypeError):
                full | other
            with pytest.raises(TypeError):
                other | full

    def test_equality(self, full: Store[Any]) -> None:
        assert full == MODEL
        assert MODEL == full  # noqa: SIM300
        assert full == dict(reversed(MODEL.items()))  # order does not count, as with dict
        assert full == UserDict(MODEL)
        assert full == full
        assert full != {}
        assert full != {**MODEL, "d": 4}
        assert full != {**MODEL, "c": [4]}
        assert full != list(MODEL.items())
        assert full != None  # noqa: E711
        with Store[Any](":memory:") as other:
            assert full != other
            other.update(MODEL)
            assert full == other

    def test_has_no_order(self, full: Store[Any]) -> None:
        with pytest.raises(TypeError):
            full < MODEL  # type: ignore[operator]  # noqa: B015

    def test_is_unhashable(self, full: Store[Any]) -> None:
        with pytest.raises(TypeError, match="unhashable"):
            hash(full)
        with pytest.raises(TypeError, match="unhashable"):
            {full: 1}

    def test_dict_of_it(self, full: Store[Any]) -> None:
        assert list(dict(full).items()) == list(MODEL.items())
        assert {**full} == MODEL
        assert type(dict(full)) is dict
        assert (lambda **named: named)(**full) == MODEL

    def test_is_a_mutable_mapping(self, full: Store[Any]) -> None:
        assert isinstance(full, MutableMapping)
        assert isinstance(full, Mapping)
        match full:
            case {"a": 1, "b": second, **rest}:
                assert (second, rest) == ("two", {"c": [3]})
            case _:
                pytest.fail("did not match")

    def test_every_method_of_dict_is_there(self, full: Store[Any]) -> None:
        missing = {name for name in dir(dict) if not hasattr(full, name)}
        assert missing == {"copy", "fromkeys"}  # a copy of what? `dict(s)` says it; `Store` needs a path


class TestCopy:
    def test_copy_of_a_file_store_is_another_handle(self, full: Store[Any]) -> None:
        if full.location == ":memory:":
            with pytest.raises(TypeError, match="in-memory"):
                copy.copy(full)
            return
        if not isinstance(full, Cache):  # which has no writeback
            full.sync()
        with copy.copy(full) as other:
            assert other is not full
            assert other == full
            assert other.namespace == full.namespace
            other["new"] = 1
        assert full["new"] == 1
