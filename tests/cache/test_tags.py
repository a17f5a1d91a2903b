"""Tags: which records `evict` deletes, whatever was done to them since."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.cache import Cache
from store.cache.notes import Note, note_of, place_of

# In the order of one namespace, or about the names of the namespaces beside it.
ONE_PART = pytest.mark.parametrize("shards", [1], ids=[""], indirect=True)


def notes(c: Cache[Any]) -> tuple[list[str], list[str]]:
    """The names of the notes, and of the places under tags."""
    names = []
    for part in ("notes", "tags"):
        with c.store.within(f"{c.namespace}#{part}") as inner:
            names.append(inner.names())
    return names[0], names[1]


@ONE_PART
def test_evict_deletes_the_records_of_a_tag_alone(c: Cache[Any]) -> None:
    c.set("a", 1, tag="t")
    c.set("b", 2, tag="t")
    c.set("d", 3, tag="tt")
    c.set("e", 4)
    assert (c.evict("t"), c.evict("t"), c.evict("never")) == (2, 0, 0)
    assert list(c) == ["d", "e"]
    assert notes(c) == (["d"], ["2:ttd"])


@ONE_PART
def test_tags_that_begin_alike_are_apart(c: Cache[Any]) -> None:
    c.set("xa", 1, tag="1:")
    c.set("a", 2, tag="1:x")
    c.set("b", 3, tag="")
    assert (c.evict("1:"), list(c)) == (1, ["a", "b"])
    assert (c.evict(""), c.evict("1:x"), list(c)) == (1, 1, [])


# What is done to a record of the tag "t" → whether it has that tag still.
CHANGES: dict[str, tuple[Callable[[Cache[Any]], object], bool]] = {
    "nothing": (lambda c: None, True),
    "touch": (lambda c: c.touch("n", 50), True),
    "touch for ever": (lambda c: c.touch("n", None), True),
    "incr": (lambda c: c.incr("n", 2), True),
    "add, which does nothing": (lambda c: c.add("n", 5), True),
    "setdefault": (lambda c: c.setdefault("n", 5), True),
    "set with it": (lambda c: c.set("n", 5, tag="t"), True),
    "set without": (lambda c: c.set("n", 5), False),
    "assign": (lambda c: c.__setitem__("n", 5), False),
    "assign the same value": (lambda c: c.__setitem__("n", 1), False),
    "set another": (lambda c: c.set("n", 5, tag="u"), False),
    "set another, and touch": (lambda c: (c.set("n", 5, tag="u"), c.touch("n", 9)), False),
    "assign, and incr": (lambda c: (c.__setitem__("n", 5), c.incr("n")), False),
    "update": (lambda c: c.update(n=5), False),
    "set_many": (lambda c: c.set_many({"n": 5}), False),
    "set_many with it": (lambda c: c.set_many({"n": 5}, tag="t"), True),
    "delete and assign": (lambda c: (c.delete("n"), c.__setitem__("n", 1)), False),
    "pop and assign": (lambda c: (c.pop("n"), c.__setitem__("n", 1)), False),
    "popitem and assign": (lambda c: (c.popitem(), c.__setitem__("n", 1)), False),
    "delete_many and assign": (lambda c: (c.delete_many(["n"]), c.__setitem__("n", 1)), False),
    "clear and assign": (lambda c: (c.clear(), c.__setitem__("n", 1)), False),
    "the store's own edit": (lambda c: c.store.modify("n", lambda n: n + 1), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tag_after(c: Cache[Any], change: str) -> None:
    do, has_it = CHANGES[change]
    c.set("n", 1, tag="t")
    do(c)
    assert (c.tag_of("n") == "t") is has_it
    assert c.evict("t") == has_it
    assert ("n" in c) is not has_it


def test_expired_record_is_not_evicted_and_leaves_no_tag(c: Cache[Any], clock: Any) -> None:
    c.set("a", 1, ttl=5, tag="t")
    clock.advance(5)
    assert (c.tag_of("a"), c.evict("t")) == (None, 0)
    c["a"] = 1
    assert (c.tag_of("a"), c.evict("t")) == (None, 0)


def test_tag_lives_as_long_as_its_record(c: Cache[Any], clock: Any) -> None:
    c.set("a", 1, ttl=5, tag="t")
    c.touch("a", 100)
    clock.advance(50)
    c.purge()
    assert (c.tag_of("a"), c.evict("t")) == ("t", 1)


def test_tag_of_what_is_not_there(c: Cache[Any]) -> None:
    c["a"] = 1
    assert (c.tag_of("a"), c.tag_of("x"), c.tag_of("\ud800")) == (None, None, None)


@ONE_PART
def test_set_without_tag_writes_one_row(c: Cache[Any]) -> None:
    c.set("a", 1, tag="t")
    c["a"] = 2
    c["b"] = 2
    assert notes(c) == (["a"], ["1:ta"])  # the note is of an older version, and says so
    c.cull()
    assert notes(c) == ([], [])


@ONE_PART
def test_another_tag_takes_the_name_off_the_list_of_the_old_one(c: Cache[Any]) -> None:
    c.set("a", 1, tag="t")
    c.set("a", 1, tag="u")
    assert notes(c) == (["a"], ["1:ua"])


def test_deleting_takes_the_note_along(c: Cache[Any]) -> None:
    for delete in (c.delete, c.pop, lambda name: c.delete_many([name]), lambda _: c.popitem(), lambda _: c.clear()):
        c.set("a", 1, tag="t")
        delete("a")
        assert notes(c) == ([], [])


def test_deleting_needs_no_transaction_where_there_are_no_notes(c: Cache[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.cache.notes.Notes.together", None)
    c.update(a=1, b=2, d=3)
    assert (c.delete("a"), c.pop("b"), c.popitem()) == (True, 2, ("d", 3))


def test_another_cache_of_the_file_sees_tags_that_came_later(place: str) -> None:
    with Cache[Any](place) as one, Cache[Any](place) as other:
        one["x"] = 1
        one.delete("x")
        other.set("a", 1, tag="t")
        assert one.tag_of("a") == "t"
        one.incr("a")
        one.delete("a")
        assert notes(other) == ([], [])


def test_evict_in_pages(c: Cache[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.cache.notes.PAGE", 7)
    c.set_many({f"n{number}": number for number in range(50)}, tag="t")
    c.set_many({f"n{number}": number for number in range(10)}, tag="u")
    c.set_many({f"n{number}": number for number in range(10, 20)})
    assert (c.evict("t"), len(c), c.evict("u"), len(c)) == (30, 20, 10, 10)
    assert c.cull() == 0
    assert notes(c) == ([], [])


@pytest.mark.parametrize("tag", [1, b"t", ("t",), True])
def test_tag_that_is_no_text_is_a_type_error(c: Cache[Any], tag: Any) -> None:
    for use in (lambda: c.set("a", 1, tag=tag), lambda: c.set_many({"a": 1}, tag=tag), lambda: c.evict(tag)):
        with pytest.raises(TypeError, match="tag is a str"):
            use()
    with pytest.raises(ValueError, match="NUL"):
        c.set("a", 1, tag="a\0b")
    assert not c


def test_any_text_is_a_tag(c: Cache[Any]) -> None:
    tags = ["", "é", "e\u0301", "\U0010ffff", "a:b", "1:a", "x" * 1000]
    for number, tag in enumerate(tags):
        c.set(f"n{number}", number, tag=tag)
    for number, tag in enumerate(tags):
        assert c.tag_of(f"n{number}") == tag
        assert (c.evict(tag), f"n{number}" in c) == (1, False)


@pytest.mark.slow
def test_notes_of_expired_records_are_purged_in_passing(c: Cache[Any], clock: Any) -> None:
    for turn in range(12):
        for number in range(50):
            c.set(f"n{turn}-{number}", number, ttl=10, tag="t")
        clock.advance(20)
    there = [len(names) for names in notes(c)]
    stored = [c.opened.engine.count(f"cache{part}", -math.inf)[0] for part in ("", "#notes", "#tags")]
    assert there == [0, 0]
    assert max(stored) <= 100  # of 600


class TestNotesOfOthers:
    def test_planted_note_is_no_note(self, path: Path) -> None:
        planted: list[Any] = [5, "t", {"version": 1}, {"version": "1-a", "tag": 5}, {"version": "1-a", "cost": "x"}]
        assert [note_of(value) for value in planted] == [None] * 5
        assert note_of({"version": "1-a"}) == Note("1-a", None, None, None)

    @pytest.mark.filterwarnings("ignore:.*sealed with a key")
    def test_note_that_cannot_be_read_does_not_keep_a_record(self, path: Path) -> None:
        with Cache[Any](path, trust="own") as c:
            c.set("a", 1, tag="t")
            c.set("b", 1, tag="t")
            with Store[Any](path, namespace="cache#notes", key=b"the key of somebody else") as foreign:
                foreign["a"] = {"version": "1-0", "tag": "other", "cost": None, "expires": None}
            assert c.evict("t") == 2
            assert not c

    @ONE_PART
    def test_planted_tag_that_no_record_can_have_holds_up_no_write(self, c: Cache[Any]) -> None:
        for number, tag in enumerate(["half a pair \ud800", "NUL \0"]):
            name = f"n{number}"
            c.set(name, 1, tag="t")
            with c.store.within("cache#notes") as inner:
                inner[name] = inner[name] | {"tag": tag}
            assert c.tag_of(name) is None
            assert c.touch(name, 50) and c.incr(name) == 2 and c.delete(name)

    @ONE_PART
    def test_planted_note_with_times_of_many_digits(self, c: Cache[Any]) -> None:
        c.get_or_compute("a", lambda: 1, early=1.0, ttl=50)
        for field in ("cost", "expires"):
            with c.store.within("cache#notes") as inner:
                inner["a"] = inner["a"] | {field: 10**400}
            assert c.get_or_compute("a", lambda: 2, early=1.0, ttl=50) == 1

    def test_place_of_a_name(self) -> None:
        assert (place_of("tag", "name"), place_of("", "name"), place_of("3:", "x")) == ("3:tagname", "0:name", "2:3:x")


@pytest.mark.slow
def test_more_records_than_one_step_of_a_server_takes(c):
    many = {f"k{number}": number for number in range(1100)}
    c.set_many(many, tag="a")
    c.set_many(many, tag="b")  # each leaves the list of its tag
    assert c.evict("a") == 0 and c.get_many(many) == many
    assert c.delete_many([*many][:400]) == 400 and c.evict("b") == 700 and len(c) == 0
    c.set_many(many, tag="a")
    c.clear()
    assert len(c) == 0 and notes(c) == ([], [])
