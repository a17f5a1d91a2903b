"""`import_into` itself: names, conflicts, dry runs, resuming, and what a report says."""

from __future__ import annotations

import collections
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sources import make

import store.importers
from store import Store
from store.errors import Corrupt, NotAStore, StorageError
from store.importers import Found, importers
from store.importers.names import name_of
from store.importers.run import BATCH, OUTCOMES, import_into

END_OF_9999 = 253402300799.0  # the last moment that a Record shows


class Given:
    """A source whose records the test gives."""

    name = "given"
    records: list[Found | Exception]

    def recognises(self, path: str) -> bool:
        return True

    def read(self, path: str, *, table: str | None = None) -> Iterator[Found]:
        for found in self.records:
            if isinstance(found, Exception):
                raise found
            yield found


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    importer = Given()
    monkeypatch.setitem(importers._entries, "given", (importer, ""))
    monkeypatch.setitem(importers._loaded, "given", importer)
    return importer


def run(s: Store[Any], **options: Any) -> list[tuple[str, str]]:
    results = list(import_into(s, "given", "nowhere", **options))
    assert {result.outcome for result in results} <= set(OUTCOMES)
    return [(result.name, result.outcome) for result in results]


@pytest.mark.parametrize(
    "key, name",
    [
        ("a ☃", "a ☃"), ("", ""), (b"ab", "ab"), ("☃".encode(), "☃"), (b"\xff\\", "\\xff\\"), (1, "1"), (-1.5, "-1.5"),
        (True, "True"), (None, "None"), ((1, ("a", b"b")), "(1, ('a', b'b'))"), ((), "()"),
    ],
)  # fmt: skip
def test_name_of_a_key(key: Any, name: str) -> None:
    assert name_of(key) == name


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("key", [[1], frozenset(), object(), Text("a"), (1, [2]), "\ud800", ("\ud800\udc00",), 1j])
def test_key_that_becomes_no_name(key: Any, given: Given) -> None:
    given.records = [Found("a", 1), Found(key, 2), Found("z", 3)]
    if key == ("\ud800\udc00",):  # its repr is plain text
        assert name_of(key) == repr(key)
        return
    with pytest.raises(ValueError, match="its key"):
        name_of(key)
    with Store[Any](":memory:") as s:
        assert [outcome for _, outcome in run(s)] == ["imported", "failed", "imported"]
        assert dict(s) == {"a": 1, "z": 3}


def test_name_that_changed_is_told_and_one_that_collides_fails(given: Given, place: str) -> None:
    given.records = [Found(1, "int"), Found("1", "text"), Found(b"1", "bytes"), Found("2", 2)]
    with Store[Any](place) as s:
        for outcome in ("imported", "unchanged"):
            first, second, third, last = import_into(s, "given", "nowhere")
            assert (first.name, first.outcome, first.why) == ("1", outcome, "its key was 1")
            assert (second.outcome, third.outcome) == ("failed", "failed")
            assert "already" in second.why and "b'1'" in third.why
            assert (last.outcome, last.why) == (outcome, "")
        assert dict(s) == {"1": "int", "2": 2}


@pytest.mark.parametrize("on_conflict, outcome, value", [("keep", "kept", "mine"), ("replace", "replaced", [1]), ("fail", "failed", "mine")])
def test_conflict(given: Given, place: str, on_conflict: str, outcome: str, value: Any) -> None:
    given.records = [Found("it", [1]), Found("new", 1)]
    with Store[Any](place) as s:
        s["it"] = "mine"
        for dry_run in (True, False):
            assert run(s, on_conflict=on_conflict, dry_run=dry_run) == [("it", outcome), ("new", "imported")]
            assert dict(s) == ({"it": "mine"} if dry_run else {"it": value, "new": 1})


@pytest.mark.parametrize("theirs", [None, 5000.0, 9000.0, 1e15])
@pytest.mark.parametrize("mine", [None, 4000])
@pytest.mark.parametrize("store_ttl", [None, 100])
def test_replace_gives_a_record_of_the_same_value_the_expiry_of_the_source(
    given: Given, place: str, mine: float | None, theirs: float | None, store_ttl: float | None
) -> None:
    """At 1000 by the clock: that of the store ends at 5000, or never."""
    given.records = [Found("it", [1], expires=theirs)]
    with Store[Any](place, clock=lambda: 1000.0) as s, Store[Any](place, clock=lambda: 1000.0, ttl=store_ttl) as target:
        s.put("it", [1], ttl=mine)
        before = s.record("it")
        same = theirs == (None if mine is None else 5000.0)
        assert run(target, clock=lambda: 1000.0) == [("it", "unchanged")]
        assert run(target, clock=lambda: 1000.0, on_conflict="fail") == [("it", "unchanged")]
        first = [("it", "unchanged" if same else "replaced")]
        assert run(target, clock=lambda: 1000.0, on_conflict="replace", dry_run=True) == first
        assert s.record("it") == before
        assert run(target, clock=lambda: 1000.0, on_conflict="replace") == first
        expires = s.record("it").expires
        assert (None if expires is None else expires.timestamp()) == (theirs if theirs != 1e15 else END_OF_9999)
        assert run(target, clock=lambda: 1000.5, on_conflict="replace") == [("it", "unchanged")]


def test_record_that_expires_while_its_batch_is_decoded_is_not_imported(given: Given) -> None:
    given.records = [Found("it", 1, expires=1001.0)]
    times = iter([1000.0, 1002.0])
    with Store[Any](":memory:") as s:
        assert run(s, clock=lambda: next(times)) == [("it", "expired")]
        assert dict(s) == {}


@pytest.mark.parametrize(
    "mine, theirs",
    [
        (1, True), (1, 1.0), ([1], (1,)), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1}, {1.0}), ({"a": {1}}, {"a": {1, 2}}),
        (0.0, -0.0), ("a", b"a"), ([1, 2], [1]), ({1: 1}, {True: 1}), (collections.UserDict(a=1), collections.UserDict(a=2)),
    ],
)  # fmt: skip
def test_values_that_are_not_the_same_are_conflicts(given: Given, mine: Any, theirs: Any) -> None:
    given.records = [Found("it", theirs)]
    with Store[Any](":memory:") as s:
        s["it"] = mine
        assert run(s) == [("it", "kept")]
        s["it"] = theirs
        assert run(s) == [("it", "unchanged")]


def test_arrays_are_compared_in_full(given: Given, place: str) -> None:
    """Their repr leaves the middle out."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed: comparing arrays is not tested")
    array = numpy.arange(5000)
    given.records = [Found("it", {"a": array})]
    with Store[Any](place) as s:
        s["it"] = {"a": array.copy()}
        assert run(s) == [("it", "unchanged")]
        array[2500] = 0
        assert run(s) == [("it", "kept")]


@pytest.mark.slow
def test_sets_are_the_same_in_any_order_and_any_process(tmp_path: Path, place: str) -> None:
    """Their pickles differ with the seed of str's hash."""
    value = {"tags": {f"tag {number}" for number in range(50)}, "more": ({"a", "b"}, frozenset("xyz"))}
    source = make("pickles", tmp_path / "source", {"it": value})
    program = "import sys\nfrom store import Store, importers\nwith Store(sys.argv[1]) as s:\n    print(*[r.outcome for r in importers.import_into(s, 'pickles', sys.argv[2])])"
    for seed, outcome in (("1", "imported"), ("2", "unchanged"), ("3", "unchanged")):
        done = subprocess.run(
            [sys.executable, "-c", program, str(place), str(source)], capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
        assert done.stdout == f"{outcome}\n"


def test_record_that_cannot_be_read_counts_as_another(given: Given, place: str) -> None:
    given.records = [Found("it", [1])]
    with Store[Any](place) as s:
        s["it"] = collections.UserDict(a=1)
    with pytest.warns(UserWarning, match="a key this program does not hold"), Store[Any](place, key=b"another key, longer") as s:
        assert run(s) == [("it", "kept")]


def test_record_that_may_come_twice_is_one(given: Given, place: str) -> None:
    given.records = [Found("a", 1, may_repeat=True), Found("b", 2), Found("a", 1, may_repeat=True), Found("a", 3, may_repeat=True), Found("b", 2)]
    with Store[Any](place) as s:
        assert run(s) == [("a", "imported"), ("b", "imported"), ("a", "unchanged"), ("a", "kept"), ("b", "failed")]
        assert dict(s) == {"a": 1, "b": 2}


def test_value_of_another_class_than_the_source_has_fails(given: Given, place: str) -> None:
    given.records = [Found("a", {}, wanted=dict), Found("b", pickle.dumps([1]), "pickle", wanted=dict)]
    with Store[Any](place) as s:
        assert [(one.outcome, one.why) for one in import_into(s, "given", "nowhere")] == [("imported", ""), ("failed", "it is a list, not a dict")]


def test_problem_of_a_record_whose_key_cannot_be_a_name(given: Given) -> None:
    given.records = [Found([1], problem="it was skipped", skipped=True), Found([1], 1)]
    with Store[Any](":memory:") as s:
        first, second = import_into(s, "given", "nowhere")
        assert (first.name, first.outcome, first.why) == ("<list>", "skipped", "it was skipped")
        assert second.outcome == "failed" and "names are text" in second.why


def test_prefix_and_namespace(given: Given, place: str) -> None:
    given.records = [Found("a", 1), Found(2, 2)]
    with Store[Any](place, namespace="old") as s:
        assert run(s, prefix="my:") == [("my:a", "imported"), ("my:2", "imported")]
        assert dict(s) == {"my:a": 1, "my:2": 2}
        assert s.namespaces() == ["old"]


def test_dry_run_writes_nothing_and_tells_what_would_fail(given: Given, place: str) -> None:
    def function() -> None: ...

    given.records = [Found("a", 1), Found("b", function), Found("evil", pickle.dumps(collections.UserDict()), codec="pickle")]
    with Store[Any](place) as s:
        expected = [("a", "imported"), ("b", "failed"), ("evil", "refused")]
        assert run(s, dry_run=True) == expected
        assert len(s) == 0
        assert run(s) == expected
        assert dict(s) == {"a": 1}


def test_batches_are_written_as_the_result_is_read(given: Given, place: str) -> None:
    given.records = [Found(f"n{number}", number) for number in range(2 * BATCH + 1)]
    with Store[Any](place) as s:
        results = import_into(s, "given", "nowhere")
        assert len(s) == 0
        next(results)
        assert len(s) == BATCH
        list(results)
        assert len(s) == 2 * BATCH + 1


def test_batch_of_large_values_is_small(given: Given, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.importers.run.BATCH_BYTES", 1000)
    given.records = [Found(f"n{number}", bytes(400)) for number in range(7)]
    with Store[Any](place) as s:
        next(import_into(s, "given", "nowhere"))
        assert len(s) == 3


def test_source_that_breaks_off_keeps_what_came_before(given: Given, place: str) -> None:
    given.records = [Found("a", 1), Found("b", 2), Corrupt("the source is damaged")]
    with Store[Any](place) as s:
        seen = []
        with pytest.raises(Corrupt, match="the source is damaged"):
            seen.extend(result.name for result in import_into(s, "given", "nowhere"))
        assert dict(s) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"source": "shelf"}, "unknown source 'shelf': one of"), ({"on_conflict": "x"}, "unknown on_conflict"),
        ({"trust": "own"}, "unknown trust 'own'"), ({"table": "t"}, "only a sqlitedict has tables"),
        ({"encoded": True}, "only a sqlitedict has encoded values"),
        ({"allow": ["no.such.Class"]}, "there is no such module"), ({"allow": ["os._wrap_close"]}, "never allowed"),
        ({"prefix": "\ud800"}, "valid text"),
    ],
)  # fmt: skip
def test_wrong_call_is_told_at_once(given: Given, options: dict[str, Any], words: str) -> None:
    given.records = []
    with Store[Any](":memory:") as s, pytest.raises(ValueError, match=words):
        import_into(s, **{"source": "given", "path": "nowhere", **options})


def test_front_has_the_runner_and_nothing_else() -> None:
    assert store.importers.import_into is import_into
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        store.importers.other


def test_expiry_that_is_no_moment_fails_for_that_record_alone(given: Given, place: str) -> None:
    given.records = [Found("a", 1), Found("b", 2, expires=float("inf")), Found("c", 3, expires=10**400), Found("d", 4)]
    with Store[Any](place) as s:
        assert [(one.name, one.outcome) for one in import_into(s, "given", "x")] == [
            ("a", "imported"), ("b", "failed"), ("c", "failed"), ("d", "imported"),
        ]  # fmt: skip


def test_database_behind_a_link_is_read_with_its_log(tmp_path: Path, place: str) -> None:
    real = tmp_path / "real" / "source.sqlite"
    real.parent.mkdir()
    with closing(sqlite3.connect(real, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA wal_autocheckpoint=0")
        conn.execute("CREATE TABLE unnamed (key TEXT PRIMARY KEY, value BLOB)")
        conn.execute("INSERT INTO unnamed VALUES ('a', ?)", (pickle.dumps(1),))
        copy = tmp_path / "copied"
        copy.mkdir()
        for file in real.parent.iterdir():  # as a crash would leave it: the record is in the log alone
            (copy / file.name).write_bytes(file.read_bytes())
    link = tmp_path / "link.sqlite"
    link.symlink_to(copy / real.name)
    with Store[Any](place) as s:
        assert [(one.name, one.outcome) for one in import_into(s, "sqlitedict", str(link))] == [("a", "imported")]
        assert s["a"] == 1


def test_path_that_is_no_utf_8(tmp_path: Path, place: str) -> None:
    source = os.fsencode(tmp_path) + b"/\xfe.sqlite"
    with closing(sqlite3.connect(source, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE unnamed (key TEXT PRIMARY KEY, value BLOB)")
        conn.execute("INSERT INTO unnamed VALUES ('a', ?)", (pickle.dumps(1),))
    with Store[Any](place) as s:
        assert [one.outcome for one in import_into(s, "sqlitedict", os.fsdecode(source))] == ["imported"]


def test_index_of_a_dumb_dbm_with_an_infinite_number_is_damage(tmp_path: Path, place: str) -> None:
    (tmp_path / "sh.dir").write_text("'k', (1e999, 1)\n")
    (tmp_path / "sh.dat").write_bytes(b"")
    with Store[Any](place) as s, pytest.raises((Corrupt, NotAStore, StorageError)):
        list(import_into(s, "shelve", str(tmp_path / "sh")))
