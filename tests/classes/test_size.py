"""The size of values that hold parts of themselves several times."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from store.classes.size import size_of

FAR = 1 << 62


def unfolded_size(value: Any, *, through_objects: bool = True) -> int:
    return size_of(value, through_objects=through_objects).text


def tower(wrap: Any, levels: int = 40) -> Any:
    made: Any = []
    for _ in range(levels):
        made = wrap(made)
    return made


class Plain:
    def __init__(self, part: Any) -> None:
        self.part = part

    def __repr__(self) -> str:
        return f"Plain({self.part!r})"


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part: Any) -> None:
        self.part = part

    __repr__ = Plain.__repr__


class Rows(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise AssertionError("the class's own code runs")

    def __len__(self) -> int:
        raise AssertionError("the class's own code runs")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda part: [part, part], lambda part: (part, part), lambda part: {"a": part, "b": part},
        lambda part: collections.deque([part, part]), lambda part: collections.OrderedDict(a=part, b=part),
        lambda part: slice(part, part), lambda part: ValueError(part, part), lambda part: Plain([part, part]),
        lambda part: Slotted((part, part)),
    ],
    ids=["list", "tuple", "dict", "deque", "ordered", "slice", "exception", "attribute", "slot"],
)  # fmt: skip
def test_size_of_what_is_held_twice_doubles(wrap: Any) -> None:
    assert unfolded_size(tower(wrap)) > 2**40
    assert unfolded_size(tower(wrap, 3)) < 5000
    assert unfolded_size(tower(wrap, 10_000)) == FAR


@pytest.mark.slow
def test_size_without_sharing_is_in_proportion() -> None:
    assert unfolded_size([0] * 1000) == 16 * 1001
    assert unfolded_size("x" * 1000) == 1016
    assert unfolded_size(b"x" * 1000) == 4016  # each may be shown as four characters
    assert unfolded_size(tower(lambda part: [part], 50_000)) == 16 * 50_001


def test_size_of_instances_is_asked_for_or_not() -> None:
    assert unfolded_size(tower(lambda part: Plain([part, part])), through_objects=False) == 16
    assert unfolded_size([ValueError(tower(lambda part: [part, part]))], through_objects=False) > 2**40


def test_size_runs_no_code_of_the_class() -> None:
    rows = Rows()
    rows.append(tower(lambda part: [part, part]))
    assert unfolded_size(rows) > 2**40


def test_size_of_a_cycle_ends() -> None:
    ring: list[Any] = []
    ring.append(ring)
    parent: dict[str, Any] = {"children": []}
    parent["children"] += [{"parent": parent} for _ in range(1000)]
    assert unfolded_size(ring) == 32
    assert unfolded_size(parent) < 200_000


@pytest.mark.slow
def test_size_of_cycles_does_not_depend_on_where_they_are_entered() -> None:
    """Each holds the next one, and all before it: which of them are met inside of themselves depends on the way."""
    nodes: list[list[Any]] = [[] for _ in range(40)]
    for index, node in enumerate(nodes):
        node += [*nodes[index + 1 : index + 2], *nodes[:index]]
    assert unfolded_size([nodes[0], nodes[-1]]) > 2**40
    assert unfolded_size([nodes[-1], nodes[0]]) > 2**40
