"""`names` with prefix, paging and direction; namespaces beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted_names import plant

from store import Store
from store.export import export_to

# Around the ends of what a prefix's range can be: the last code point, the gap of the surrogates, and those
# whose UTF-16 order is another than that of code points.
NAMES = [
    "", "\1", "a", "a\1", "a\1b", "a\x7f", "a\x80", "aa", "ab", "aé", "b", "é", "éa", "\u07ff", "\u0800",
    "\ud7ff", "\ud7ff\U0010ffff", "\ud7ffz", "\ue000", "\uffff", "\uffffa", "\U00010000", "\U0010fffe",
    "\U0010fffez", "\U0010ffff", "\U0010ffffa", "\U0010ffff\U0010ffff", "%", "_", "*", "?", "[a]", "A", "Ab",
]  # fmt: skip
PREFIXES = [*NAMES, "zz", "\0", "a\0", "a\0bc", "a\1bc", "\U0010ffff\U0010ffff\U0010ffff", "\ud7ff\U0010ffff\U0010ffff"]


@pytest.fixture(scope="module")
def model() -> list[str]:
    return sorted(NAMES)


@pytest.fixture
def s(location: str) -> Iterator[Store[Any]]:
    with Store[Any](location) as opened:
        opened.update({name: 1 for name in reversed(NAMES)})  # noqa: C420
        with opened.within("other") as other:
            other.update(a=1, zz=1)
        yield opened


def test_names_are_in_order_of_code_points(s: Store[Any], model: list[str]) -> None:
    assert s.names() == model
    assert s.names(reverse=True) == model[::-1]


def test_names_with_prefix(s: Store[Any], model: list[str]) -> None:
    for prefix in PREFIXES:
        expected = [name for name in model if name.startswith(prefix)]
        assert s.names(prefix) == expected, repr(prefix)
        assert s.names(prefix, reverse=True) == expected[::-1], repr(prefix)
        assert [record.name for record in s.records(prefix)] == expected, repr(prefix)


def test_names_after_and_limit(s: Store[Any], model: list[str]) -> None:
    for after in PREFIXES:
        for prefix in ("", "a", "\ud7ff", "\U0010ffff"):
            ahead = [name for name in model if name.startswith(prefix) and name > after]
            behind = [name for name in reversed(model) if name.startswith(prefix) and name < after]
            for limit in (None, 0, 1, 3, 1000):
                assert s.names(prefix, after=after, limit=limit) == ahead[:limit]
                assert s.names(prefix, after=after, limit=limit, reverse=True) == behind[:limit]


@pytest.mark.parametrize("limit", [1, 2, 7, 33, 34, 35])
@pytest.mark.parametrize("reverse", [False, True])
def test_paging_gives_each_name_once(s: Store[Any], model: list[str], limit: int, reverse: bool) -> None:
    found: list[str] = []
    after = None
    while page := s.names(after=after, limit=limit, reverse=reverse):
        assert len(page) <= limit
        found += page
        after = page[-1]
    assert found == (model[::-1] if reverse else model)


def test_paging_goes_on_behind_a_name_that_was_deleted(s: Store[Any], model: list[str]) -> None:
    page = s.names(limit=5)
    del s[page[-1]]
    assert s.names(after=page[-1], limit=5) == model[5:10]


def test_names_refuses_what_makes_no_sense(s: Store[Any]) -> None:
    for error, arguments in (
        (ValueError, {"limit": -1}),
        (TypeError, {"limit": 1.5}),
        (TypeError, {"limit": "1"}),
        (TypeError, {"limit": True}),
        (TypeError, {"prefix": 1}),
        (TypeError, {"prefix": None}),
        (TypeError, {"after": 1}),
    ):
        with pytest.raises(error):
            s.names(**arguments)  # type: ignore[arg-type]


class TestNamespaces:
    def test_do_not_see_each_other(self, location: str) -> None:
        with Store[Any](location) as s, s.within("x") as x, s.within("y") as y:
            s["a"], x["a"], y["b"] = 0, 1, 2
            assert (dict(s), dict(x), dict(y)) == ({"a": 0}, {"a": 1}, {"b": 2})
            assert (len(s), len(x), len(y)) == (1, 1, 1)
            assert (s.names(), x.names(), y.names()) == (["a"], ["a"], ["b"])
            x.clear()
            assert (dict(s), dict(x), dict(y)) == ({"a": 0}, {}, {"b": 2})
            assert y.popitem() == ("b", 2)
            with pytest.raises(KeyError):
                y.popitem()
            del s["a"]
            assert "a" not in s

    def test_are_listed_while_they_have_records(self, location: str) -> None:
        with Store[Any](location) as s:
            assert s.namespaces() == []
            names = ["b", "", "a\1", "é", "\U0010ffff", "a", "x" * 5000]
            for name in names:
                with s.within(name) as other:
                    other["n"] = 1
            assert s.namespaces() == sorted(names)
            with s.within("b") as b:
                assert b.namespaces() == sorted(names)
                b.clear()
            assert s.namespaces() == sorted(set(names) - {"b"})

    def test_within_is_the_same_as_namespace(self, place: str) -> None:
        with Store[Any](place) as s, s.within("x") as x, Store[Any](place, namespace="x") as same:
            x["a"] = 1
            assert same["a"] == 1
            assert (s.namespace, x.namespace, same.namespace) == ("", "x", "x")

    def test_within_takes_the_name_as_it_is(self, location: str) -> None:
        with Store[Any](location, namespace="x") as x, x.within("y") as y, x.within("") as outer:
            assert (y.namespace, outer.namespace) == ("y", "")
            y["a"] = 1
            outer["a"] = 2
            assert x.namespaces() == ["", "y"]

    def test_within_has_the_same_options(self, location: str, clock: Any) -> None:
        with Store[Any](location, clock=clock, ttl=10, codec="json", trust="own") as s, s.within("x") as x:
            record = x.put("a", 1)
            assert record.codec == "json"
            assert record.expires is not None
            clock.advance(11)
            assert "a" not in x

    def test_within_is_closed_on_its_own(self, location: str) -> None:
        s = Store[Any](location)
        x = s.within("x")
        s.close()
        x["a"] = 1
        assert x["a"] == 1
        x.close()
        with pytest.raises(ValueError, match="closed"):
            x["a"]
        with pytest.raises(ValueError, match="closed"):
            s.within("y")

    def test_within_may_be_closed_inside_a_transaction(self, location: str) -> None:
        with Store[Any](location) as s:
            with s.transaction():
                with s.within("x") as x:
                    x["a"] = 1
                s.within("y")["b"] = 2  # closed when it is collected
            assert s.namespaces() == ["x", "y"]

    def test_transaction_spans_namespaces(self, location: str) -> None:
        with Store[Any](location) as s, s.within("x") as x:
            with pytest.raises(RuntimeError), s.transaction():
                s["a"] = x["a"] = 1
                raise RuntimeError
            assert s.namespaces() == []

    def test_name_that_is_no_str(self, place: str) -> None:
        with pytest.raises(TypeError, match="namespace"):
            Store[Any](place, namespace=1)  # type: ignore[arg-type]
        with Store[Any](place) as s, pytest.raises(TypeError, match="namespace"):
            s.within(None)  # type: ignore[arg-type]

    def test_mode_n_empties_its_own_only(self, place: str) -> None:
        with Store[Any](place) as s, s.within("x") as x:
            s["a"] = x["a"] = 1
        with Store[Any](place, namespace="x", mode="n") as x, x.within("") as s:
            assert (len(x), len(s)) == (0, 1)


class TestNul:
    """A name with a NUL is refused at the same place on every engine, since PostgreSQL's texts have none."""

    @pytest.mark.parametrize("name", ["\0", "a\0b", "é\0"])
    def test_is_not_written(self, location: str, name: str) -> None:
        with Store[Any](location) as s:
            s["kept"] = 1
            for write in (
                lambda: s.__setitem__(name, 1),
                lambda: s.put(name, 1),
                lambda: s.add(name, 1),
                lambda: s.setdefault(name, 1),
                lambda: s.update({"before": 1, name: 2}),
                lambda: s.update([("before", 1), (name, 2)]),
                lambda: s.modify(name, lambda value: value, default=1),
                lambda: s.incr(name),
                lambda: s.edit(name, default=[]),
                lambda: s.lock(name),
                lambda: s.within(name),
                lambda: Store(location, namespace=name),
            ):
                with pytest.raises(ValueError, match=f"may not contain NUL.*at position {name.index(chr(0))}"):
                    write()
            assert list(s.items()) == [("kept", 1)]

    @pytest.mark.parametrize("name", ["\0", "a\0b", "é\0"])
    def test_is_absent(self, location: str, name: str) -> None:
        with Store[Any](location) as s:
            s["a"] = 1
            assert name not in s
            assert s.get(name) is None
            assert s.get_many([name, "a"]) == {"a": 1}
            assert s.delete(name) is False
            assert s.delete_many([name, "a"]) == 1
            assert s.pop(name, 2) == 2
            for missing in (s.__getitem__, s.__delitem__, s.record, s.touch, s.pop):
                with pytest.raises(KeyError):
                    missing(name)

    def test_record_of_an_older_store_is_read_exported_and_deleted(self, path: Path, tmp_path: Path) -> None:
        with Store[Any](path) as s:
            plant(s, {"a\0b": [1]})
            plant(s, {"c": 2}, "n\0")
            assert (s["a\0b"], list(s), s.namespaces()) == ([1], ["a\0b"], ["", "n\0"])
            assert [done.outcome for done in export_to(s, "jsonl", tmp_path / "lines")] == ["exported"]
            del s["a\0b"]
        with Store[Any](path, namespace="n\0", mode="w") as s:
            assert dict(s) == {"c": 2}
            s.clear()
            assert s.namespaces() == []
