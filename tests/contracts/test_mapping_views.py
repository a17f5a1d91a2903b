"""The contract of the mapping, continued: the live views; on every kind of store."""

from __future__ import annotations

from typing import Any

import pytest

from store import Store

MODEL: dict[str, Any] = {"a": 1, "b": "two", "c": [3]}


class TestViews:
    def test_are_live(self, full: Store[Any]) -> None:
        names, values, items = full.keys(), full.values(), full.items()
        full["d"] = 4
        del full["a"]
        assert list(names) == ["b", "c", "d"]
        assert list(values) == ["two", [3], 4]
        assert list(items) == [("b", "two"), ("c", [3]), ("d", 4)]
        assert len(names) == len(values) == len(items) == 3
        assert "d" in names
        assert 4 in values
        assert ("d", 4) in items
        full.clear()
        assert list(names) == list(values) == list(items) == []

    def test_names_are_a_set(self, full: Store[Any]) -> None:
        names = full.keys()
        assert names == {"a", "b", "c"}
        assert names == MODEL.keys()
        assert MODEL.keys() == names
        assert names & {"a", "z"} == {"a"}
        assert {"a", "z"} & names == {"a"}
        assert names | {"z"} == {"a", "b", "c", "z"}
        assert names - {"a"} == {"b", "c"}
        assert {"a", "z"} - names == {"z"}
        assert names ^ {"a", "z"} == {"b", "c", "z"}
        assert names & MODEL.keys() == {"a", "b", "c"}
        assert names < {"a", "b", "c", "d"}
        assert names <= {"a", "b", "c"}
        assert names >= {"a"}
        assert not names > {"a", "b", "c"}
        assert names.isdisjoint({"z"})
        assert not names.isdisjoint({"a"})
        assert type(names & {"a"}) is set
        assert names & iter(["a", "z"]) == {"a"}  # any iterable, as those of dict

    def test_items_are_a_set(self, empty: Store[Any]) -> None:
        empty.update(a=1, b=2)
        items = empty.items()
        assert items == {("a", 1), ("b", 2)}
        assert items == {"a": 1, "b": 2}.items()
        assert items & {("a", 1), ("b", 3)} == {("a", 1)}
        assert items - {("a", 1)} == {("b", 2)}
        assert items | {("c", 3)} == {("a", 1), ("b", 2), ("c", 3)}
        assert items ^ {("a", 1), ("c", 3)} == {("b", 2), ("c", 3)}
        assert items >= {("a", 1)}
        assert items.isdisjoint({("a", 2)})

    def test_items_of_unhashable_values_compare(self, full: Store[Any]) -> None:
        assert full.items() == MODEL.items()
        assert full.items() != {**MODEL, "c": [4]}.items()
        with pytest.raises(TypeError):
            full.items() | set()  # as dict: a list cannot be in a set

    def test_contains(self, full: Store[Any]) -> None:
        assert "a" in full.keys()  # noqa: SIM118
        assert "z" not in full.keys()  # noqa: SIM118
        assert [3] in full.values()
        assert [4] not in full.values()
        assert ("c", [3]) in full.items()
        assert ("c", [4]) not in full.items()
        for no_item in (("z", 1), ("a",), ("a", 1, 2), "a", 1, (1, 1), ["a", 1]):
            assert no_item not in full.items()

    def test_are_unhashable_or_not_as_those_of_dict(self, full: Store[Any]) -> None:
        for view in (full.keys(), full.items()):
            with pytest.raises(TypeError):
                hash(view)

    def test_iteration_may_be_nested_and_begun_again(self, full: Store[Any]) -> None:
        names = full.keys()
        assert [(x, y) for x in names for y in names] == [(x, y) for x in MODEL for y in MODEL]
        assert list(zip(full, full.values(), full.items(), strict=True)) == [
            (name, value, (name, value)) for name, value in MODEL.items()
        ]

    @pytest.mark.slow
    def test_deleting_while_iterating_is_harmless(self, empty: Store[Any]) -> None:
        empty.update({f"n{i}": i for i in range(600)})
        for name in empty:
            del empty[name]
        assert len(empty) == 0

    @pytest.mark.slow
    def test_inserting_while_iterating_ends(self, empty: Store[Any]) -> None:
        empty.update({f"n{i}": i for i in range(600)})
        for name, value in empty.items():
            empty["again " + name] = value
        assert len(empty) == 1200
