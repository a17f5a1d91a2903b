"""`merge`: two requests of one session at once lose nothing that can be kept."""

from __future__ import annotations

import copy

import pytest

from store.sessions.merging import is_same, merge


class Plain:
    """An object without `==`."""

    def __init__(self, text: str) -> None:
        self.text = text


class Odd:
    """As an array: comparing gives no bool, and this one cannot be pickled either."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> list[bool]:  # type: ignore[override]
        return [True]

    def __reduce__(self) -> str:
        raise ValueError("no pickle")


@pytest.mark.parametrize(
    "before, mine, theirs, merged",
    [
        ({}, {"a": 1}, {"b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"b": 1}, {"b": 1, "a": 2}),
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}),
        ({}, {"cart": {"tea": 1}}, {"cart": {"cup": 2}}, {"cart": {"cup": 2, "tea": 1}}),
        ({"c": {"tea": 1}}, {"c": {}}, {"c": {"tea": 1, "cup": 2}}, {"c": {"cup": 2}}),
        ({"c": {"tea": 1}}, {}, {"c": {"tea": 1, "cup": 2}}, {}),
        ({}, {"m": ["x"]}, {"m": ["x"]}, {"m": ["x", "x"]}),
        ({"m": [1]}, {"m": [1, 2]}, {"m": [1, 3]}, {"m": [1, 3, 2]}),
        ({"m": [1]}, {}, {"m": [1, 3]}, {"m": [3]}),
        ({"m": [1]}, {}, {"m": [1]}, {}),
        ({"m": [1]}, {}, {"m": [4]}, {}),
        ({"m": [1, 2]}, {"m": [2]}, {"m": [1, 2, 3]}, {"m": [2, 3]}),
        ({"m": [1, 2]}, {"m": [1, 2, 4]}, {"m": [2]}, {"m": [1, 2, 4]}),
        ({"m": 1}, {"m": [2]}, {"m": "x"}, {"m": [2]}),
    ],
)
def test_changes_of_both_are_merged(before, mine, theirs, merged):
    sides = copy.deepcopy((before, mine, theirs))
    assert merge(before, mine, theirs) == merged
    assert (before, mine, theirs) == sides


def test_values_are_compared_as_they_would_be_stored():
    assert is_same(Plain("x"), Plain("x")) and not is_same(Plain("x"), Plain("y"))
    assert not is_same(1, 1.0) and not is_same([1], [True]) and not is_same({"a": 0}, {"a": False})
    assert is_same(float("nan"), float("nan"))
    assert not is_same(Odd(), Odd())
