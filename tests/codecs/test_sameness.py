"""Whether a value came back unchanged."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from store.codecs.plain import same

EQUAL = [
    None, 1, "a", b"a", math.nan, [1, [math.nan]], {"a": 1, "b": [2.0]}, {1, "1"}, Decimal("1.0"), datetime(2024, 1, 1, tzinfo=UTC), {math.nan: 1},
]  # fmt: skip


@pytest.mark.parametrize("value", EQUAL)
def test_value_is_the_same_as_itself(value: Any) -> None:
    assert same(value, value)


@pytest.mark.parametrize(
    "one, other",
    [
        (1, True), (1, 1.0), (0.0, -0.0), ([1], [True]), ([1], [1, 1]), ([1], (1,)), ({"a": 1}, {"a": True}), ({1: 0}, {True: 0}), ({1}, {True}),
        ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1}, {"b": 1}), ({1}, {1, 2}), (Decimal("1.0"), Decimal("1.00")), ("a", b"a"), (math.nan, 1.0),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    ],
)  # fmt: skip
def test_value_that_is_equal_and_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_order_of_keys_counts_where_it_should() -> None:
    one, other = {"a": 1, "b": [{"c": 1, "d": 2}]}, {"b": [{"d": 2, "c": 1}], "a": 1}
    assert not same(one, other)
    assert same(one, other, ordered=False)
    assert not same({"a": 1}, {"b": 1}, ordered=False)
    assert not same({"a": 1}, {"a": True}, ordered=False)
