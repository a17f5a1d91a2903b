"""The read cache: what is kept, how much, until when; names, errors and trust."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from interleave import stored, warm, write_beside
from named_codec import Named

from store import Store
from store.errors import Corrupt, StorageError, StoreClosed, Untrusted
from store.opened.cache_entries import ENTRY_BYTES, Entries
from store.trust.keys import ring as keys


@pytest.fixture
def s(path, clock):
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        yield s


def test_value_read_again_is_not_asked_for(s, asked):
    warm(s)
    statements = asked(s)
    assert (s["a"], s.get("b"), "a" in s) == (["old"], ["old"], True)
    assert list(s.get_many(["b", "a"]).items()) == [("b", ["old"]), ("a", ["old"])]
    assert s.setdefault("a", 1) == ["old"]
    assert statements == []


def test_value_written_is_read_without_being_asked_for(s, asked):
    warm(s)
    statements = asked(s)
    s["a"] = ["new"]
    s["c"] = 1
    assert (s["a"], s["b"], s["c"], statements) == (["new"], ["old"], 1, [])


def test_cached_value_is_a_fresh_object(s):
    s["t"] = ([],)
    warm(s)
    assert s["a"] is not s["a"]
    s["a"].append("changed")
    s["t"][0].append("changed")
    s.get_many("a")["a"].append("changed")
    assert (s["a"], s["t"]) == (["old"], ([],))


@pytest.mark.parametrize("value", [1, 1.5, 2j, True, "text", b"bytes", None, "x" * 5000])
def test_scalar_is_kept_decoded(s, value, monkeypatch):
    s["scalar"] = value
    write_beside(s, "a", 1)  # what was learnt from the write goes
    first = s["scalar"]
    assert first == value and type(first) is type(value)
    monkeypatch.setattr("pickle.loads", None)
    assert s["scalar"] is first


class Number(int):
    """Can hold more than its number."""


def test_subclass_of_a_scalar_is_not_kept_decoded(s):
    s["number"] = Number(3)
    s["number"].note = "only this one has it"
    assert not hasattr(s["number"], "note")


def test_missing_name_is_asked_for_each_time(s, asked):
    statements = asked(s)
    for _ in range(2):
        assert s.get("nobody") is None
        assert "nobody" not in s
        assert s.get_many(["a", "nobody"]) == {"a": ["old"]}
    assert len(statements) == 12  # and whether the index is sound beside it


@pytest.mark.parametrize(
    "read",
    [
        lambda s: s["a"],
        lambda s: s.get("a"),
        lambda s: "a" in s,
        len,
        lambda s: s.get_many("a"),
        lambda s: s.get_many([]),
        lambda s: s.setdefault("a", 1),
    ],
    ids=["item", "get", "in", "len", "get_many", "get_many of none", "setdefault"],
)
def test_closed_store_with_a_warm_cache(path, read):
    with Store(path) as keeps_the_engine, Store(path) as s:
        keeps_the_engine["a"] = 1
        warm(s)
        len(s)
        s.close()
        with pytest.raises(StoreClosed):
            read(s)
        assert s.opened.cache not in keeps_the_engine.opened.engine.coherence._caches


# -- time


def test_cached_record_expires_on_time(path, clock):
    with Store(path, clock=clock, ttl=0.5) as s:
        s["a"] = [1]
        warm(s)
        clock.advance(0.49)
        assert (s["a"], "a" in s, s.get_many("a"), len(s)) == ([1], True, {"a": [1]}, 1)
        clock.advance(0.01)
        assert ("a" in s, s.get("a"), s.get_many("a"), len(s)) == (False, None, {}, 0)
        s["a"] = 2
        assert (s["a"], s.record("a").revision, len(s)) == (2, 1, 1)


def test_len_is_cached_until_the_next_expiry(path, clock, asked):
    with Store(path, clock=clock) as s:
        s.put("later", 1, ttl=0.5)
        s.put("soon", 1, ttl=0.25)
        s["never"] = 1
        assert len(s) == 3
        statements = asked(s)
        assert (len(s), bool(s)) == (3, True)
        clock.advance(0.24)
        assert (len(s), statements) == (3, [])
        clock.advance(0.01)
        assert len(s) == 2
        clock.advance(0.25)
        assert len(s) == 1
        del s["never"]
        assert (len(s), bool(s)) == (0, False)


def test_clock_that_goes_back(path, clock):
    with Store(path, clock=clock) as s:
        s.put("a", 1, ttl=10)
        clock.advance(10.25)
        s.get("a")
        assert (len(s), "a" in s) == (0, False)
        clock.advance(-0.5)  # it lives again
        assert (len(s), "a" in s, s["a"]) == (1, True, 1)
        clock.advance(-100)
        assert (len(s), "a" in s, s["a"]) == (1, True, 1)
        clock.advance(100.5)
        assert (len(s), "a" in s, s.get("a")) == (0, False, None)


def test_count_does_not_hold_before_it_was_taken(path, clock):
    with Store(path, clock=clock) as s:
        s.put("a", 1, ttl=10)
        s.opened.look(clock())  # looks whether the file is in its place
        clock.advance(9.5)
        s["b"] = 1
        s.get("asks the file")
        clock.advance(0.5)
        assert len(s) == 1
        clock.advance(-0.25)
        assert len(s) == 2


@pytest.mark.damaged
@pytest.mark.parametrize("how", ["deleted", "replaced"])
@pytest.mark.parametrize(
    "read", [lambda s: s["a"], lambda s: "a" in s, len, lambda s: s.get_many("a")], ids=["item", "in", "len", "many"]
)
def test_file_taken_away_is_noticed_within_a_second(path, clock, how, read):
    with Store(path, clock=clock) as s:
        s["a"] = 1
        clock.advance(5)
        warm(s, "a")
        clock.advance(0.75)
        s.get("asks the file")  # but does not look whether it is in its place
        warm(s, "a")
        len(s)
        path.rename(f"{path}.old")
        if how == "replaced":
            path.touch()
        clock.advance(0.25)
        with pytest.raises(StorageError, match=how):
            read(s)


# -- size


def test_oldest_entries_go_first():
    size = ENTRY_BYTES + 1000
    entries = Entries()
    for name in "abc":
        entries.add(name, (None, name, None, 1000, ord(name)), 3 * size)
    entries.add("a", (None, "again", None, 1000, ord("a")), 3 * size)
    assert (list(entries), entries.size) == (["b", "c", "a"], 3 * size)
    entries.add("d", (None, "d", None, 1000, ord("d")), 3 * size)
    assert (list(entries), entries.size) == (["c", "a", "d"], 3 * size)
    entries.add("e", (None, "e", None, 1001, ord("e")), 3 * size)
    assert (list(entries), entries.size) == (["d", "e"], 2 * size + 1)
    assert entries.names == {ord("d"): "d", ord("e"): "e"}  # marks leave with their entries


def test_names_of_one_mark_leave_together():
    entries = Entries()
    entries.add("a", (None, "a", None, 0, 1), 10_000)
    entries.add("b", (None, "b", None, 0, 2), 10_000)
    entries.add("c", (None, "c", None, 0, 1), 10_000)
    assert list(entries) == ["b", "c"]
    entries.forget_mark(1)
    entries.forget_mark(1)
    assert (list(entries), entries.names, entries.size) == (["b"], {2: "b"}, ENTRY_BYTES)


def test_entry_that_is_larger_than_all_puts_nothing_out():
    entries = Entries()
    entries.add("a", (None, "a", None, 50, 1), 1000)
    entries.add("b", (None, "b", None, 50, 2), 1000)
    entries.add("c", (None, "c", None, 1000, 3), 1000)
    assert list(entries) == ["a", "b"]
    entries.add("b", (None, "b", None, 1000, 2), 1000)  # nor is the old one left
    assert (list(entries), entries.size) == (["a"], ENTRY_BYTES + 50)
    entries.forget("a")
    entries.forget("a")
    assert (len(entries), entries.size) == (0, 0)


def test_size_is_bounded(path, clock):
    limit = 20 * (ENTRY_BYTES + 1000)
    with Store(path, clock=clock, cache_bytes=limit) as s:
        for number in range(100):
            s[str(number)] = [bytes(900)]
        for number in range(100):
            assert s[str(number)] == [bytes(900)]
            entries = s.opened.cache._state[2]
            assert entries.size == sum(ENTRY_BYTES + entry[3] for entry in entries.values()) <= limit
        assert list(entries)[-1] == "99"
        s["huge"] = bytes(limit)
        assert s["huge"] == bytes(limit)
        assert len(s.opened.cache._state[2]) >= 20


def test_long_names_count(path, clock):
    limit = 20 * (ENTRY_BYTES + 1000)
    names = [f"{number:01000}" for number in range(100)]
    with Store(path, clock=clock, cache_bytes=limit) as s:
        for write in (lambda: [s.__setitem__(name, 1) for name in names], lambda: s.update({name: [1] for name in names})):
            write()
            for name in names:
                s[name]
                assert len(s.opened.cache._state[2]) <= 20


def test_scalar_counts_as_what_it_takes(s):
    s["wide"] = "x" * 10_000 + "\N{CAT}"  # 4 bytes for each character, of which the pickle takes 1
    write_beside(s, "a", 1)
    s["wide"]
    assert s.opened.cache._state[2]["wide"][3] >= sys.getsizeof(s["wide"]) > 40_000


def test_no_cache(path, clock, asked):
    with Store(path, clock=clock, cache_bytes=0) as s:
        s["a"] = 1
        statements = asked(s)
        assert (s["a"], s["a"], len(s), len(s), "a" in s, s.get_many("a")) == (1, 1, 1, 1, True, {"a": 1})
        assert len(statements) == 6
        assert s.opened.cache not in s.opened.engine.coherence._caches


@pytest.mark.parametrize("writeback", [False, True])
@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (None, TypeError), (True, TypeError)]
)
def test_bad_cache_bytes(path, size, error, writeback):
    with pytest.raises(error, match="cache_bytes"):
        Store(path, cache_bytes=size, writeback=writeback)
    assert not path.exists()


def test_in_memory_and_with_writeback_there_is_none(path):
    for s in (Store(":memory:"), Store(path, writeback=True)):
        with s:
            s["a"] = [1]
            s["a"].append(2)
            assert s["a"] == ([1] if s.opened.writeback is None else [1, 2])
            assert s.opened.cache.begin() is None


# -- names and errors


class Lookalike:
    """Hashes and compares as a name does."""

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        return other == "a"


class Text(str):
    __slots__ = ()

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize("name", [Lookalike(), ["a"], b"a", None, 1])
def test_what_is_no_name_finds_nothing_in_a_warm_cache(s, name):
    warm(s)
    for read in (lambda: s[name], lambda: s.get(name), lambda: s.setdefault(name, 1)):
        with pytest.raises(TypeError, match="a name is a str, not"):
            read()
    assert name not in s


def test_name_of_a_subclass_of_str_is_taken_as_its_text(s):
    warm(s)
    with pytest.raises(KeyError):
        s[Text("c")]
    assert Text("c") not in s
    s["b"] = "the other"
    assert s[Text("b")] == "the other"


class Bomb:
    armed = False

    def __getstate__(self) -> str:
        return "state"

    def __setstate__(self, state: Any) -> None:
        if Bomb.armed:
            raise KeyError("a key of the value's own")


def test_error_of_decoding_a_cached_record_names_it(s, monkeypatch, asked):
    with s.within("beside") as beside:
        beside["bomb"] = Bomb()
        warm(beside)
        statements = asked(beside)
        monkeypatch.setattr(Bomb, "armed", True)
        reads: list[Callable[[], Any]] = [lambda: beside["bomb"], lambda: beside.get("bomb", 1)]
        for read in (*reads, lambda: beside.get_many(["bomb"])):
            with pytest.raises(Corrupt) as info:
                read()
            assert (info.value.name, info.value.namespace) == ("bomb", "beside")
            assert isinstance(info.value.__cause__, KeyError)
        assert "bomb" in beside
        monkeypatch.setattr(Bomb, "armed", False)
        assert isinstance(beside["bomb"], Bomb)
        assert statements == []


# -- what a record is decoded by

THEIRS, MINE = b"the key of others", b"mine" * 8


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*a key this program does not hold")
def test_record_of_another_key_is_not_cached(path, clock):
    with Store(path, clock=clock, key=THEIRS) as theirs:
        theirs.update(plain=[1], bomb=Bomb())
    with Store(path, clock=clock, key=MINE) as s:
        for _ in range(2):
            assert s["plain"] == [1]
            with pytest.raises(Untrusted):
                s["bomb"]
        assert dict(s.opened.cache._state[2]) == {}


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*a key this program does not hold")
def test_levels_of_trust_and_keys_share_no_cache(path, clock):
    with Store(path, clock=clock, key=THEIRS) as theirs:
        theirs["bomb"] = Bomb()
        strict = Store(path, clock=clock, key=MINE, trust="own")
        trusting = Store(path, clock=clock, key=MINE, trust="all")
        with strict, trusting:
            warm(theirs)
            for _ in range(2):
                assert isinstance(theirs["bomb"], Bomb)
                assert isinstance(trusting["bomb"], Bomb)
                with pytest.raises(Untrusted):
                    strict["bomb"]


@pytest.mark.damaged
def test_key_taken_away_is_taken_from_cached_records_too(path, tmp_path, clock, monkeypatch):
    file = tmp_path / "keys"
    file.write_text("11" * 32 + "\n")
    monkeypatch.setenv("STORE_KEY_FILE", str(file))
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)
    with Store(path, clock=clock) as s:
        s["bomb"] = Bomb()
        warm(s)
        file.write_text("22" * 32 + "\n# another line, so that its size is another too\n")
        s["other"] = 1  # a writer looks at its keys
        with pytest.raises(Untrusted):
            s["bomb"]


def test_codec_that_takes_the_name_of_another(s, asked):
    first, second = Named("first"), Named("second")
    s.put("x", "value", codec=first)
    warm(s, "x")
    s.put("y", "value", codec=first)
    statements = asked(s)
    assert (s["x"], statements) == (["first", "value"], [])  # the same one again changes nothing
    s.put("z", "value", codec=second)
    assert s["x"] == stored(s, "x") == ["second", "value"]


class Old:
    pass


class New:
    pass


def test_renames_are_those_of_the_store(path, clock):
    renames = {f"{__name__}.Old": New}
    with Store(path, clock=clock) as s, Store(path, clock=clock, renames=renames) as renamed:
        s["a"] = Old()
        renamed["b"] = Old()
        for _ in range(3):
            assert (type(s["a"]), type(renamed["a"]), type(renamed["b"])) == (Old, New, New)


def test_read_only_store_sees_what_others_write(path, clock, asked):
    with Store(path, clock=clock) as s:
        s["a"] = ["old"]
        with Store(path, mode="r", clock=clock) as reader:
            warm(reader)
            statements = asked(reader)
            assert (reader["a"], statements) == (["old"], [])
            s["a"] = ["new"]
            assert reader["a"] == ["new"]
            write_beside(s, "a", ["newer"])
            assert (reader["a"], s["a"]) == (["newer"], ["newer"])
