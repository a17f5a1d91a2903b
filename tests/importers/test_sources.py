"""Each kind of source, made by its own library: what comes over, what does not, and that it stays as it is."""

from __future__ import annotations

import collections
import dbm
import dbm.dumb
import pickle
import shelve
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sources import KINDS, PICKLED, Hostile, dbm_modules, hashed, library, make, state_of

import store.importers
from store import Store
from store.cli import importing
from store.errors import CodecUnavailable, Corrupt, NotAStore, StorageError
from store.importers import import_into, importers, sqlite_source

JSON = {"plain": 1, "ünïcode ☃": "text ☃", "nested": {"a": [1, 2.5, None, {"b": True}]}, "empty": {}}
VALUES: dict[str, dict[str, Any]] = {
    **{kind: {**JSON, "more": {(1, "a"): {1, 2}, "day": date(2026, 1, 2)}, "bytes": b"\0\xff"} for kind in PICKLED},
    "dbm": {"a": b"1", "ünïcode ☃": "☃".encode(), "zeros": bytes(2000)},
    "json": JSON,
    "flask-session": {name: {**JSON, "day": date(2026, 1, 2)} for name in ("hVw3sdE", "☃ 2")},
    "django-sessions": {"a" * 32: JSON, "0123456789abcdefghijklmnopqrstuv": {"_auth_user_id": "7"}},
}
Results = dict[str, tuple[str, str]]


def run(s: Store[Any], kind: str, path: Path, **options: Any) -> Results:
    results = list(import_into(s, kind, path, **options))
    assert len({result.name for result in results}) == len(results)
    return {result.name: (result.outcome, result.why) for result in results}


def test_kinds_are_those_of_the_registry() -> None:
    assert sorted(importers.names()) == sorted(KINDS) == sorted(importing.KINDS)
    page = Path(store.importers.__file__).with_name("README.md").read_text("utf-8")
    for kind in KINDS:
        assert importers.load(kind).name == kind
        assert f"`{kind}`" in page and kind in (importing.import_.help or "")


@pytest.mark.parametrize("kind", KINDS)
def test_all_comes_over_and_the_source_stays(kind: str, tmp_path: Path, path: Path) -> None:
    source = make(kind, tmp_path / "source", VALUES[kind])
    before = state_of(tmp_path / "source")
    with Store[Any](path) as s:
        expected = hashed(kind, VALUES[kind])
        assert run(s, kind, source) == dict.fromkeys(expected, ("imported", ""))
        assert dict(s) == expected
        assert s.verify().sealed == len(expected)
        assert run(s, kind, source) == dict.fromkeys(expected, ("unchanged", ""))
        assert {record.revision for record in s.records()} == {1}
    assert state_of(tmp_path / "source") == before


@pytest.mark.parametrize("kind", KINDS)
def test_empty_source(kind: str, tmp_path: Path, path: Path) -> None:
    source = make(kind, tmp_path / "source", {})
    with Store[Any](path) as s:
        assert run(s, kind, source) == {}
        assert len(s) == 0


@pytest.mark.parametrize("kind", PICKLED)
def test_class_is_refused_unless_it_is_allowed(kind: str, tmp_path: Path, path: Path) -> None:
    records = {"a": 1, "it": [collections.UserDict(a=1)], "z": 2}
    source = make(kind, tmp_path / "source", records)
    with Store[Any](path) as s:
        results = run(s, kind, source)
        (it,) = hashed(kind, {"it": 0})
        expected = hashed(kind, {"a": "imported", "it": "refused", "z": "imported"})
        assert {name: outcome for name, (outcome, _) in results.items()} == expected
        assert "(--allow collections.UserDict)" in results[it][1]
        assert dict(s) == hashed(kind, {"a": 1, "z": 2})
        assert run(s, kind, source, allow=["collections.UserDict"])[it] == ("imported", "")
        assert dict(s) == hashed(kind, records) and type(s[it][0]) is collections.UserDict


@pytest.mark.parametrize("kind", PICKLED)
def test_hostile_pickle_never_runs(kind: str, tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    source = make(kind, tmp_path / "source", {"a": 1, "evil": [Hostile(marker)], "z": 2})
    with Store[Any](path) as s:
        (evil,) = hashed(kind, {"evil": 0})
        for options in ({}, {"dry_run": True}, {"on_conflict": "replace", "allow": ["collections.UserDict"]}):
            assert run(s, kind, source, **options)[evil][0] == "refused"
            assert not marker.exists()
        assert dict(s) == hashed(kind, {"a": 1, "z": 2})
        assert run(s, kind, source, trust="all")[evil][0] == "imported"  # so it would have been one
    assert marker.is_dir()


@pytest.mark.parametrize("kind", [pytest.param("sqlitedict", marks=pytest.mark.heavy), pytest.param("diskcache", marks=pytest.mark.heavy), "shelve"])
@pytest.mark.slow
def test_large_source(kind: str, tmp_path: Path, path: Path) -> None:
    records = {f"n{number:04}": {"number": number} for number in range(5000)}
    source = make(kind, tmp_path / "source", records)
    with Store[Any](path) as s:
        assert run(s, kind, source) == dict.fromkeys(records, ("imported", ""))
        assert dict(s) == records


ALIKE = {
    *(("shelve", "dbm"), ("dbm", "shelve")),  # a shelf is a dbm file
    *(("cachelib", "flask-session"), ("flask-session", "cachelib")),  # the same files
    *(("joblib", "pickles"), ("joblib", "joblib-memory"), ("pickles", "joblib-memory")),  # joblib calls its files .pkl
}
"""(kind, other): a source of the other kind is taken for one of that kind."""


@pytest.mark.parametrize("other", KINDS)
def test_source_of_another_kind_is_named(other: str, tmp_path: Path) -> None:
    source = make(other, tmp_path / "source", VALUES[other])
    before = state_of(tmp_path / "source")
    for kind in KINDS:
        if kind == other or (kind, other) in ALIKE:
            assert importers.load(kind).recognises(str(source))
            continue
        with Store[Any](":memory:") as s, pytest.raises(NotAStore) as caught:
            import_into(s, kind, source)
        assert f"no source of the kind {kind}" in str(caught.value) and other in str(caught.value).split("looks like")[1]
        assert state_of(tmp_path / "source") == before


@pytest.mark.parametrize("kind", KINDS)
def test_source_that_is_missing_or_a_store_is_refused(kind: str, tmp_path: Path, path: Path) -> None:
    with Store[Any](path) as s:
        with pytest.raises(StorageError, match=f"there is nothing of the kind {kind} at"):
            import_into(s, kind, tmp_path / "nothing")
        with pytest.raises(NotAStore, match="is a store itself"):
            import_into(s, kind, path)
        Store(tmp_path / "other.db").close()
        before = state_of(tmp_path)
        with pytest.raises(NotAStore, match="is a store itself"):
            import_into(s, kind, tmp_path / "other.db")
        assert state_of(tmp_path) == before
    assert [file.name for file in tmp_path.iterdir() if "nothing" in file.name] == []


# -- dbm and shelve


@pytest.mark.parametrize("module", dbm_modules(), ids=lambda module: module.__name__)
@pytest.mark.parametrize("suffix", ["", ".dat", ".dir"])
def test_shelf_of_each_dbm_module(module: Any, suffix: str, tmp_path: Path, path: Path) -> None:
    if suffix and module is not dbm.dumb:
        suffix = ""
    (tmp_path / "source").mkdir()
    with shelve.Shelf(module.open(str(tmp_path / "source" / "old"), "c")) as old:
        old.update(VALUES["shelve"])
    before = state_of(tmp_path / "source")
    with Store[Any](path) as s:
        run(s, "shelve", Path(f"{tmp_path / 'source' / 'old'}{suffix}"))
        assert dict(s) == VALUES["shelve"]
    assert state_of(tmp_path / "source") == before


def test_shelf_of_dbm_sqlite3_on_any_python(tmp_path: Path, path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old")) as conn:
        conn.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        conn.execute("INSERT INTO Dict VALUES (?, ?)", ("ü".encode(), pickle.dumps([1])))
        conn.commit()
    with Store[Any](path) as s:
        run(s, "shelve", tmp_path / "old")
        assert dict(s) == {"ü": [1]}


def test_shelf_beside_the_store_to_fill(tmp_path: Path) -> None:
    """`store import shelve app app.db`, where the file of the shelf is `app`."""
    with closing(sqlite3.connect(tmp_path / "app")) as conn:
        conn.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        conn.execute("INSERT INTO Dict VALUES (x'61', ?)", (pickle.dumps([1]),))
        conn.commit()
    with Store[Any](tmp_path / "app.db") as s:
        assert run(s, "shelve", tmp_path / "app") == {"a": ("imported", "")}
        (tmp_path / "app").unlink()
        with pytest.raises(StorageError, match="there is nothing of the kind shelve at"):
            import_into(s, "shelve", tmp_path / "app")


def test_shelf_into_a_store_of_its_own_name(tmp_path: Path) -> None:
    """`store import shelve app app`: the files of the shelf are app.dat and app.dir."""
    make("shelve", tmp_path / "source", {"a": 1})
    for outcome in ("imported", "unchanged"):
        with Store[Any](tmp_path / "source" / "old") as s:
            assert run(s, "shelve", tmp_path / "source" / "old") == {"a": (outcome, "")}


def test_shelf_of_a_dbm_module_that_is_missing(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbm.gnu", None)
    (tmp_path / "old").write_bytes((0x13579ACE).to_bytes(4, "little") + bytes(4092))
    with Store[Any](path) as s, pytest.raises(CodecUnavailable, match=r"dbm\.gnu, which this Python does not have"):
        list(import_into(s, "shelve", tmp_path / "old"))


def test_shelf_that_is_damaged(tmp_path: Path, path: Path) -> None:
    source = make("shelve", tmp_path / "source", {"a": 1, "b": 2, "c": "x" * 2000})
    data = source.with_suffix(".dat").read_bytes()
    source.with_suffix(".dat").write_bytes(data[:600])
    with Store[Any](path) as s:
        results = run(s, "shelve", source)
        assert [outcome for outcome, _ in results.values()] == ["imported", "imported", "failed"]
        assert "is damaged" in results["c"][1]
        source.with_suffix(".dir").write_text("'a', (0, 5)\n'b', __import__('os')\n")
        with pytest.raises(Corrupt, match="line 2"):
            list(import_into(s, "shelve", source))


def test_dbm_key_that_is_not_utf8(tmp_path: Path, path: Path) -> None:
    (tmp_path / "source").mkdir()
    with dbm.dumb.open(str(tmp_path / "source" / "old"), "c") as db:
        db[b"\xff"] = b"1"
    with Store[Any](path) as s:
        assert run(s, "dbm", tmp_path / "source" / "old") == {"\\xff": ("imported", r"its key was b'\xff'")}


# -- sqlitedict


def test_sqlitedict_with_several_tables(tmp_path: Path, path: Path) -> None:
    sqlitedict = library("sqlitedict")
    source = tmp_path / "old.sqlite"
    for table in ("one", 'o"ther'):
        with sqlitedict.SqliteDict(str(source), tablename=table, autocommit=True) as db:
            db["a"] = table
    with Store[Any](path) as s:
        results = run(s, "sqlitedict", source)
        assert results["one:a"] == ("imported", "its key was 'a', in the table 'one'")
        assert dict(s) == {"one:a": "one", 'o"ther:a': 'o"ther'}
        s.clear()
        run(s, "sqlitedict", source, table='o"ther')
        assert dict(s) == {"a": 'o"ther'}
        with pytest.raises(NotAStore, match="no table 'x'; it has one"):
            list(import_into(s, "sqlitedict", source, table="x"))


def test_sqlitedict_with_encoders_of_its_own_fails_per_record(tmp_path: Path, path: Path) -> None:
    import json
    import zlib

    sqlitedict = library("sqlitedict")
    source = tmp_path / "old.sqlite"
    with sqlitedict.SqliteDict(str(source), autocommit=True) as db:
        db["fine"] = [1]
    with sqlitedict.SqliteDict(str(source), autocommit=True, encode=json.dumps) as db:
        db["json"] = [1]
    squeeze = lambda value: sqlite3.Binary(zlib.compress(pickle.dumps(value)))  # noqa: E731
    with sqlitedict.SqliteDict(str(source), autocommit=True, encode=squeeze) as db:
        db["zlib"] = [1]
    with Store[Any](path) as s:
        for trust in ("data", "all"):
            results = run(s, "sqlitedict", source, trust=trust)
            assert [results[name][0] for name in ("json", "zlib")] == ["failed", "failed"]
            assert "encode=" in results["json"][1] and "looks compressed" in results["zlib"][1]
        assert dict(s) == {"fine": [1]}


@pytest.mark.slow
def test_sqlite_file_that_is_damaged_keeps_what_came_before(tmp_path: Path, path: Path) -> None:
    source = make("sqlitedict", tmp_path / "source", {f"n{number:04}": "x" * 500 for number in range(3000)})
    with open(source, "r+b") as file:
        file.seek(source.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    with Store[Any](path) as s:
        with pytest.raises(Corrupt, match="SQLite says"):
            list(import_into(s, "sqlitedict", source))
        assert 100 < len(s) < 3000


HALF_WRITTEN = """
import os, signal, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("PRAGMA cache_size = 1")
conn.execute("BEGIN")
conn.execute("DELETE FROM unnamed WHERE key < 'n0150'")
conn.execute("UPDATE unnamed SET value = zeroblob(5000)")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_sqlite_file_that_a_killed_process_left_half_written(tmp_path: Path, path: Path) -> None:
    """The journal beside it says what it was; rolling it back where it stands would change the source."""
    records = {f"n{number:04}": "x" * 500 for number in range(300)}
    source = make("sqlitedict", tmp_path / "source", records)
    done = subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(source)], timeout=60, check=False)
    before = state_of(tmp_path / "source")
    assert done.returncode == -9 and "old.sqlite-journal" in before
    with Store[Any](path) as s:
        run(s, "sqlitedict", source)
        assert dict(s) == records
    assert state_of(tmp_path / "source") == before


@pytest.mark.parametrize("writes", [1, 100])
def test_sqlite_file_that_is_written_to_while_it_is_copied(writes: int, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make("sqlitedict", tmp_path / "source", {"a": 1})
    with closing(sqlite3.connect(source)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
    copy, left = sqlite_source._copy, [writes]

    def copy_while_written(start: str, target: str) -> None:
        copy(start, target)
        if left[0] and start == str(source):
            left[0] -= 1
            with closing(sqlite3.connect(source)) as conn:
                conn.execute("REPLACE INTO unnamed VALUES ('a', ?)", (pickle.dumps([left[0]]),))
                conn.commit()

    monkeypatch.setattr(sqlite_source, "_copy", copy_while_written)
    with Store[Any](path) as s:
        if writes == 1:
            run(s, "sqlitedict", source)
            assert dict(s) == {"a": [0]}
        else:
            with pytest.raises(StorageError, match="being written to by another program"):
                import_into(s, "sqlitedict", source)


# -- pickles, joblib, json


def test_single_files(tmp_path: Path, path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "whatever").write_bytes(pickle.dumps([2]))
    with Store[Any](path) as s:
        run(s, "pickles", tmp_path / "a.pkl")
        run(s, "pickles", tmp_path / "whatever", prefix="my ")
        assert dict(s) == {"a": [1], "my whatever": [2]}


def test_folder_of_pickles_with_other_things(tmp_path: Path, path: Path) -> None:
    source = make("pickles", tmp_path / "source", {"a": 1, "100%25": 2})
    (source / "inner").mkdir()
    (source / "inner" / "b.p").write_bytes(pickle.dumps(3))
    (source / "readme.txt").write_text("no pickle")
    (source / "link.pkl").symlink_to(tmp_path / "elsewhere.pkl")
    (tmp_path / "elsewhere.pkl").write_bytes(pickle.dumps("secret"))
    (source / "two.pkl").write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with Store[Any](path) as s:
        for trust in ("data", "all"):
            results = run(s, "pickles", source, trust=trust)
            assert dict(s) == {"a": 1, "100%": 2, "inner/b": 3}
            assert results["readme.txt"][0] == "skipped"
            assert results["link"] == ("failed", "it is a link, which is not followed")
            assert results["two"][0] == "failed" and "more follows" in results["two"][1]


@pytest.mark.parametrize("compress", [False, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("lz4", 3)])
def test_joblib_compressed_or_not(compress: Any, tmp_path: Path, path: Path) -> None:
    joblib, numpy = library("joblib"), library("numpy")
    if compress and compress[0] == "lz4":
        pytest.importorskip("lz4.frame", reason="lz4 is not installed: files of joblib by it are not tested")
    (tmp_path / "source").mkdir()
    joblib.dump({"x": numpy.arange(1000)}, tmp_path / "source" / "model.joblib", compress=compress)
    joblib.dump([1, {"a": 2}], tmp_path / "source" / "plain.joblib", compress=compress)
    joblib.dump(numpy.array([{}, None]), tmp_path / "source" / "objects.joblib", compress=compress)
    with Store[Any](path) as s:
        results = run(s, "joblib", tmp_path / "source")
        assert results["plain"] == ("imported", "") and s["plain"] == [1, {"a": 2}]
        assert results["objects"][0] == "refused"
        assert "dtype=object" in results["objects"][1] and "--trust all" in results["objects"][1]
        assert results["model"] == ("imported", "")
        assert (s["model"]["x"] == numpy.arange(1000)).all()
        results = run(s, "joblib", tmp_path / "source", trust="all")
        assert (results["model"], results["objects"]) == (("unchanged", ""), ("imported", ""))


def test_compressed_file_that_grows_beyond_measure(tmp_path: Path) -> None:
    import zlib

    from store.importers.compressed import expand

    bomb = zlib.compress(bytes(10_000_000))
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        expand(bomb, 1000)
    with pytest.raises(ValueError, match="end is missing"):
        expand(bomb[:-10])
    assert expand(bomb) == bytes(10_000_000)


def test_decompression_stops_at_the_limit() -> None:
    from store.importers.compressed import _all_of

    class Decompressor:
        eof = True

        def decompress(self, data: bytes, size: int = 10**6) -> bytes:
            assert size == 101
            return bytes(size)

    with pytest.raises(ValueError, match="more than 100 bytes"):
        _all_of(Decompressor(), b"", 100)


def test_json_lines(tmp_path: Path, path: Path) -> None:
    lines = ['{"name": "a", "value": [1]}', "", "not JSON", '{"name": 1, "value": 2}', '{"value": 2, "name": "b", "expires": 9e9}']
    (tmp_path / "old.jsonl").write_text("\n".join(lines))
    with Store[Any](path) as s:
        results = run(s, "json", tmp_path / "old.jsonl")
        assert [results[name][0] for name in ("a", "b", "line 3", "line 4")] == ["imported", "imported", "failed", "failed"]
        assert dict(s) == {"a": [1], "b": 2}
        expires = s.record("b").expires
        assert expires is not None and abs(expires.timestamp() - 9e9) < 1


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("x", '{"name": "a", "value": 1}\n{"name": "b", "value": 2}', {"a": 1, "b": 2}),
        ("x.json", '{"name": "a", "value": 1}', {"name": "a", "value": 1}),
        ("x", '\ufeff{"k": NaN}', {"k": "nan"}),
        ("x.json", "", {}),
    ],
)
def test_json_as_object_or_lines(name: str, content: str, found: dict[str, Any], tmp_path: Path, path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with Store[Any](path) as s:
        run(s, "json", tmp_path / name)
        assert {key: str(value) if value != value else value for key, value in s.items()} == found


def test_json_that_is_none_and_keys_that_come_twice(tmp_path: Path, path: Path) -> None:
    source = tmp_path / "x.json"
    with Store[Any](path) as s:
        for content in ('{"a": 1', '{"a": 1} x', "{" * 100_000):
            source.write_text(content)
            with pytest.raises(Corrupt, match="is not JSON"):
                list(import_into(s, "json", source))
        source.write_text('{"a": {"b": 1}, "a": 2}')
        assert [(one.name, one.outcome) for one in import_into(s, "json", source)] == [("a", "imported"), ("a", "failed")]
        assert dict(s) == {"a": {"b": 1}}


def test_json_with_a_member_twice_inside_a_value_fails_for_that_record_alone(tmp_path: Path, path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1, "b": {"x": [0, {"y": 1, "z": 2, "y": 1}]}, "c": {"y": {"y": 1}}, "d": {"": 1, "": 2}}')
    lines = ['{"name": "e", "value": {"k": 1, "k": 2}}', '{"name": "f", "value": 1}', '{"name": "g", "value": 1, "name": "h"}']
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    with Store[Any](path) as s:
        for file in ("x.json", "x.jsonl"):
            results = run(s, "json", tmp_path / file)
            assert {name: outcome for name, (outcome, _) in results.items()} == (
                {"a": "imported", "b": "failed", "c": "imported", "d": "failed"}
                if file == "x.json"
                else {"e": "failed", "f": "imported", "line 3": "failed"}
            )
            for name, words in {"b": "its value['x'][1] has the member 'y' twice", "e": "has the member 'k' twice", "line 3": "'name' twice"}.items():
                assert name not in results or words in results[name][1]
        assert dict(s) == {"a": 1, "c": {"y": {"y": 1}}, "f": 1}
