"""The contract of the mapping: what `dict` does, a store does, whatever its kind.

Written against the fixtures `empty` and `full` of the conftest beside it: another kind is one more line there.
"""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Callable
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest

from store import Store

MODEL: dict[str, Any] = {"a": 1, "b": "two", "c": [3]}
NO_NAMES = [1, None, b"a", 1.5, ("a",), True]


class TestOneRecord:
    def test_get_what_was_set(self, full: Store[Any]) -> None:
        assert {name: full[name] for name in MODEL} == MODEL

    def test_missing_name_raises_key_error_with_the_name(self, full: Store[Any]) -> None:
        for miss in (lambda: full["gone"], lambda: full.__delitem__("gone"), lambda: full.pop("gone")):
            with pytest.raises(KeyError) as caught:
                miss()
            assert caught.type is KeyError
            assert caught.value.args == ("gone",)

    def test_get_with_and_without_default(self, full: Store[Any]) -> None:
        assert full.get("a") == 1
        assert full.get("gone") is None
        assert full.get("gone", 5) == 5
        assert full.get("a", 5) == 1

    def test_none_is_a_value_like_others(self, empty: Store[Any]) -> None:
        empty["n"] = None
        assert "n" in empty
        assert empty["n"] is None
        assert empty.get("n", 5) is None
        assert empty.setdefault("n", 5) is None
        assert empty.pop("n", 5) is None
        assert "n" not in empty

    def test_del_removes(self, full: Store[Any]) -> None:
        del full["b"]
        assert "b" not in full
        assert list(full) == ["a", "c"]
        with pytest.raises(KeyError):
            del full["b"]

    def test_contains(self, full: Store[Any]) -> None:
        assert "a" in full
        assert "gone" not in full

    def test_name_that_is_no_str_is_a_type_error(self, full: Store[Any]) -> None:
        uses: list[Callable[[Any], Any]] = [
            lambda name: full[name],
            lambda name: full.__setitem__(name, 1),
            full.__delitem__,
            full.get,
            lambda name: full.get(name, 1),
            full.pop,
            lambda name: full.pop(name, 1),
            lambda name: full.setdefault(name, 1),
            lambda name: full.update({name: 1}),
            lambda name: full.update([("ok", 1), (name, 1)]),
            lambda name: full.__ior__({name: 1}),
        ]
        for name, use in product(NO_NAMES, uses):
            with pytest.raises(TypeError, match=type(name).__name__):
                use(name)
        assert full == MODEL

    def test_name_that_is_no_str_is_not_in_it(self, full: Store[Any]) -> None:
        for name in [*NO_NAMES, ["unhashable"]]:
            assert name not in full
            assert name not in full.keys()  # noqa: SIM118

    def test_str_subclass_is_its_text(self, empty: Store[Any]) -> None:
        class Name(str):
            def __str__(self) -> str:
                return "something else"

        empty[Name("a")] = 1
        assert empty["a"] == 1
        assert [type(name) for name in empty] == [str]
        assert Name("a") in empty

    def test_any_text_is_a_name(self, empty: Store[Any]) -> None:
        names = ["", " ", "a", "A", "a\1b", "a\1", "é", "e\u0301", "名前", "\U0010ffff", "'; --", "x" * 65536]
        for number, name in enumerate(names):
            assert name not in empty
            empty[name] = number
        assert list(empty) == names
        assert list(empty.values()) == list(range(len(names)))
        assert empty.names() == sorted(names)
        for number, name in enumerate(names):
            assert empty.pop(name) == number
        assert len(empty) == 0

    def test_values_are_copies(self, empty: Store[Any]) -> None:
        mine = [1]
        empty["a"] = mine
        if empty.opened.writeback is not None:  # shared on purpose; what comes of it is in test_writeback
            assert empty["a"] is mine
            return
        mine.append(2)
        assert empty["a"] == [1]
        empty["a"].append(3)
        empty.get("a").append(4)
        next(iter(empty.values())).append(5)
        assert empty["a"] == [1]
        assert empty["a"] is not empty["a"]


class TestOrder:
    def test_is_that_of_insertion(self, empty: Store[Any]) -> None:
        names = ["z", "a", "m", "", "0"]
        for name in names:
            empty[name] = 1
        assert list(empty) == names
        assert list(empty.keys()) == names
        assert [name for name, _ in empty.items()] == names

    def test_update_keeps_the_place(self, full: Store[Any]) -> None:
        full["a"] = "a value that is a good deal longer than the one before" * 100
        full.update(b=5)
        assert list(full) == ["a", "b", "c"]

    def test_name_written_again_after_delete_goes_to_the_end(self, full: Store[Any]) -> None:
        del full["a"]
        full["a"] = 1
        assert list(full) == ["b", "c", "a"]
        del full["a"]
        full["d"] = 1
        full["a"] = 1
        assert list(full) == ["b", "c", "d", "a"]

    def test_reversed(self, full: Store[Any]) -> None:
        assert list(reversed(full)) == ["c", "b", "a"]
        assert list(reversed(full.keys())) == ["c", "b", "a"]
        assert list(reversed(full.values())) == [[3], "two", 1]
        assert list(reversed(full.items())) == [("c", [3]), ("b", "two"), ("a", 1)]

    @pytest.mark.slow
    def test_holds_over_many_pages(self, empty: Store[Any]) -> None:
        model = {f"n{i * 7919 % 1000}": i for i in range(1000)}
        empty.update(model)
        assert list(empty.items()) == list(model.items())
        assert list(reversed(empty.items())) == list(reversed(model.items()))
        assert list(empty) == list(model)
        assert list(reversed(empty)) == list(reversed(model))

    def test_popitem_takes_the_last(self, full: Store[Any]) -> None:
        full["a"] = 10  # keeps its place
        assert [full.popitem() for _ in range(3)] == [("c", [3]), ("b", "two"), ("a", 10)]
        with pytest.raises(KeyError) as caught:
            full.popitem()
        assert caught.type is KeyError

    @pytest.mark.slow
    def test_popitem_after_many(self, empty: Store[Any]) -> None:
        empty.update({f"n{i}": i for i in range(600)})
        assert [empty.popitem()[1] for _ in range(600)] == list(range(599, -1, -1))
        assert not empty


class TestSize:
    def test_len_and_bool(self, empty: Store[Any]) -> None:
        assert len(empty) == 0
        assert not empty
        empty["a"] = 0
        assert len(empty) == 1
        assert empty
        empty["a"] = 1
        assert len(empty) == 1
        del empty["a"]
        assert len(empty) == 0
        assert not empty

    def test_clear(self, full: Store[Any]) -> None:
        full.clear()
        assert list(full) == []
        assert full == {}
        full.clear()
        full["a"] = 1
        assert full == {"a": 1}


class TestAtomicMethods:
    def test_pop(self, full: Store[Any]) -> None:
        assert full.pop("a") == 1
        assert full.pop("a", "default") == "default"
        assert full.pop("a", None) is None
        assert full.pop("b", "default") == "two"
        assert full == {"c": [3]}

    def test_setdefault(self, full: Store[Any]) -> None:
        assert full.setdefault("a", 5) == 1
        assert full.setdefault("new", [5]) == [5]
        assert full.setdefault("none") is None
        assert full == MODEL | {"new": [5], "none": None}
        assert list(full)[-2:] == ["new", "none"]

    def test_update_takes_what_dict_takes(self, full: Store[Any]) -> None:
        makes: list[Callable[[Any], Any]] = [
            dict,
            list,
            tuple,
            iter,
            OrderedDict,
            UserDict,
            lambda pairs: MappingProxyType(dict(pairs)),
            lambda pairs: dict(pairs).items(),
            lambda pairs: ([name, value] for name, value in pairs),
        ]
        for number, make in enumerate(makes):
            full.update(make([("b", number), ("new", 3)]))
            assert list(full.items()) == [("a", 1), ("b", number), ("c", [3]), ("new", 3)]
            del full["new"]

    def test_update_takes_an_object_with_keys(self, full: Store[Any]) -> None:
        class Other:
            def keys(self) -> list[str]:
                return ["b", "new"]

            def __getitem__(self, name: str) -> str:
                return name * 2

        full.update(Other())
        assert full == {"a": 1, "b": "bb", "c": [3], "new": "newnew"}

    def test_update_takes_keywords(self, full: Store[Any]) -> None:
        full.update({"a": 2}, b=3, self=4, other=5)
        assert full == {"a": 2, "b": 3, "c": [3], "self": 4, "other": 5}
        full.update(a=3)
        full.update()
        full.update({})
        assert full["a"] == 3

    def test_update_takes_the_last_of_a_name(self, empty: Store[Any]) -> None:
        empty.update([("a", 1), ("b", 2), ("a", 3)], b=4)
        assert list(empty.items()) == [("a", 3), ("b", 4)]

    def test_update_takes_a_store(self, full: Store[Any]) -> None:
        with Store[Any](":memory:") as other:
            other.update(full)
            assert other == full
            assert list(other) == list(full)
            other["new"] = 1
            full.update(other)
            assert full["new"] == 1

    def test_update_with_itself_changes_nothing(self, full: Store[Any]) -> None:
        full.update(full)
        assert list(full.items()) == list(MODEL.items())

    def test_update_refuses_what_dict_refuses(self, full: Store[Any]) -> None:
        others: list[Any] = [5, None, [1], [("a",)], [("a", 1, 2)], {"abc"}]
        for other in others:
            with pytest.raises((TypeError, ValueError)) as expected:
                {}.update(other)
            with pytest.raises(expected.type):
                full.update(other)
        assert full == MODEL

    def test_update_takes_one_positional_argument(self, full: Store[Any]) -> None:
        with pytest.raises(TypeError):
            full.update({}, {})  # type: ignore[call-arg]

    def test_update_that_fails_leaves_all_as_it_was(self, full: Store[Any]) -> None:
        def pairs() -> Any:
            yield "a", "changed"
            for i in range(700):  # more than one batch
                yield f"n{i}", i
            raise RuntimeError("the source failed")

        with pytest.raises(RuntimeError, match="the source failed"):
            full.update(pairs())
        assert list(full.items()) == list(MODEL.items())
