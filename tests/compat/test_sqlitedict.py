"""What programs of sqlitedict rely on: each test runs on the library itself and on `store.compat.sqlitedict`."""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import pickle
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = {"here": "store.compat.sqlitedict", "sqlitedict": "sqlitedict"}
New = Callable[..., Any]


@pytest.fixture(params=LIBRARIES)
def lib(request: pytest.FixtureRequest) -> Any:
    """The module that a program imports as sqlitedict."""
    if request.param == "here":
        return importlib.import_module(LIBRARIES["here"])
    return pytest.importorskip("sqlitedict", reason="sqlitedict is not installed: nothing is compared with it")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "test.db")


@pytest.fixture
def new(lib: Any, file: str) -> Iterator[New]:
    """`new(…)` opens a table of the file; all are closed in the end."""
    opened = []

    def one(*args: Any, **options: Any) -> Any:
        opened.append(lib.SqliteDict(*(args or (file,)), **options))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


@pytest.fixture(params=[False, True], ids=["", "autocommit"])
def db(request: pytest.FixtureRequest, new: New) -> Any:
    """An empty table, in both ways of committing."""
    return new(autocommit=request.param)


# -- one item


def test_item_is_assigned_read_and_deleted(db: Any) -> None:
    db["a"] = {"x": (1, 2)}
    assert db["a"] == {"x": (1, 2)}
    assert "a" in db and "b" not in db
    assert (db.get("a"), db.get("b"), db.get("b", 7)) == ({"x": (1, 2)}, None, 7)
    del db["a"]
    assert "a" not in db and len(db) == 0


def test_missing_key_is_a_key_error(db: Any) -> None:
    for use in (lambda: db["x"], lambda: db.__delitem__("x"), lambda: db.pop("x"), db.popitem):
        with pytest.raises(KeyError):
            use()
    with pytest.raises(KeyError) as caught:
        db[("x",)[0]]
    assert caught.value.args == ("x",)


def test_value_is_that_of_the_assignment(db: Any) -> None:
    value = [1]
    db["a"] = value
    value.append(2)
    assert db["a"] == [1]
    db["a"].append(3)
    assert db["a"] == [1]


def test_pop_popitem_setdefault(db: Any) -> None:
    db.update({"a": 1, "b": 2, "c": 3})
    assert db.pop("b") == 2 and db.pop("b", None) is None
    assert db.setdefault("a", 9) == 1 and db.setdefault("d", 9) == 9
    assert db.popitem() == ("a", 1)
    assert list(db.items()) == [("c", 3), ("d", 9)]


def test_value_that_cannot_be_pickled_changes_nothing(db: Any) -> None:
    db["a"] = 1
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        db["a"] = lambda: 1
    assert list(db.items()) == [("a", 1)]


# -- keys


def test_numbers_become_text(db: Any) -> None:
    keys = [7, True, 1.5, -2.0, 1e20, 1e-7, 0.1 + 0.2, 1e15, 123456789012345680.0, math.inf, -math.inf, 2**63 - 1, -(2**63)]
    for key in keys:
        db[key] = key
    assert list(db) == [
        "7", "1", "1.5", "-2.0", "1.0e+20", "1.0e-07", "0.3", "1.0e+15", "1.23456789012346e+17", "Inf", "-Inf",
        "9223372036854775807", "-9223372036854775808",
    ]  # fmt: skip
    assert [db[key] for key in keys] == keys
    assert (7 in db, "7" in db, 7.0 in db, None in db, db.get(None), db.get(math.nan)) == (True, True, False, False, None, None)
    del db[7]
    assert "7" not in db


def test_any_text_is_a_key(db: Any) -> None:
    for key in ("", " ", "ü☃", "a'\"b", "x" * 5000, "%_", "\n"):
        db[key] = key
        assert db[key] == key
    assert len(db) == 7


def test_keys_of_other_types(lib: Any, new: New) -> None:
    db = new(encode_key=lib.encode_key, decode_key=lib.decode_key)
    keys = [(0, 1, 2), None, 5, "5", b"x", frozenset({1}), 2.5]
    for key in keys:
        db[key] = repr(key)
    db.commit()
    assert list(db) == keys
    assert dict(db) == {key: repr(key) for key in keys}
    assert db[0, 1, 2] == "(0, 1, 2)" and (0, 1) not in db
    del db[None]
    assert None not in db


def test_functions_of_the_program_make_the_keys(new: New) -> None:
    db = new(encode_key=lambda key: f"user:{key}", decode_key=lambda text: int(text.removeprefix("user:")))
    db[3], db[1] = "c", "a"
    assert (list(db), dict(db), 3 in db) == ([3, 1], {3: "c", 1: "a"}, True)
    db.commit()
    assert list(new()) == ["user:3", "user:1"]
    assert list(db.keys()) == [3, 1]


# -- encoders


def test_encoder_of_json(new: New) -> None:
    db = new(encode=json.dumps, decode=json.loads)
    for value in (-42, "Test ☃", False, None, {"version": 2.5, "items": ["one"]}):
        db["x"] = value
        assert db["x"] == value
    db["x"] = (1, 2)
    db.commit()
    assert db["x"] == [1, 2]
    assert new(encode=str, decode=str)["x"] == "[1, 2]"


def test_encoder_that_compresses(new: New) -> None:
    options = {
        "encode": lambda value: memoryview(zlib.compress(pickle.dumps(value))),
        "decode": lambda data: pickle.loads(zlib.decompress(bytes(data))),
    }
    with new(**options) as db:
        db["x"] = {"text": "a" * 10_000}
        db.commit()
    assert new(**options)["x"] == {"text": "a" * 10_000}


def test_decoder_gets_the_types_of_sqlite(lib: Any, new: New) -> None:
    db = new(encode=lib.identity, decode=lambda stored: (type(stored).__name__, stored))
    shown = {}
    for number, value in enumerate([1, 1.5, "s", b"b", None, True, memoryview(b"m"), bytearray(b"a"), math.inf]):
        db[number] = value
        shown[str(number)] = db[number][1]
        assert type(db[number][1]).__name__ == db[number][0]
    assert list(shown.values()) == [1, 1.5, "s", b"b", None, 1, b"m", b"a", math.inf]
    assert type(shown["5"]) is int and type(shown["6"]) is bytes


def test_functions_of_the_module(lib: Any) -> None:
    assert lib.decode(lib.encode([1, {"a": (2,)}])) == [1, {"a": (2,)}]
    assert lib.decode_key(lib.encode_key((1, "a"))) == (1, "a")
    assert lib.encode_key((1, "a")) == "gAWVCQAAAAAAAABLAYwBYZSGlC4="
    assert lib.identity(lib) is lib
    assert isinstance(lib.logger, logging.Logger) and lib.logger.name == "sqlitedict"
    assert lib.__version__ == "2.1.0"


# -- many items


def test_order_is_that_of_the_last_assignment(db: Any) -> None:
    db.update([("a", 1), ("b", 2), ("c", 3), ("a", 4)])
    assert list(db) == ["b", "c", "a"]
    db.commit()
    db["b"] = 5
    assert (list(db), list(db.values())) == (["c", "a", "b"], [3, 4, 5])
    db.commit()
    db.update(c=6, d=7)
    del db["a"]
    db["a"] = 8
    assert list(db.items()) == [("b", 5), ("c", 6), ("d", 7), ("a", 8)]
    db.commit()
    assert list(db.items()) == [("b", 5), ("c", 6), ("d", 7), ("a", 8)]


def test_update_takes_what_dict_takes(db: Any) -> None:
    db.update({"a": 1})
    db.update([("b", 2)], c=3)
    db.update(d=4)
    db.update()
    db.update(pair for pair in [("e", 5)])
    assert dict(db) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    with pytest.raises(TypeError):
        db.update(None)


def test_views_are_iterators(db: Any) -> None:
    db.update(a=1, b=2)
    for view, content in ((db.keys, ["a", "b"]), (db.values, [1, 2]), (db.items, [("a", 1), ("b", 2)])):
        assert next(view()) == content[0]
        assert list(view()) == content
    assert (list(db.iterkeys()), list(db.itervalues()), list(db.iteritems())) == (["a", "b"], [1, 2], [("a", 1), ("b", 2)])


def test_length_and_truth(db: Any) -> None:
    assert (len(db), bool(db)) == (0, False)
    db["a"] = db["b"] = 1
    assert (len(db), bool(db)) == (2, True)
    db.commit()
    db["a"] = 2
    db["c"] = 3
    del db["b"]
    assert (len(db), bool(db)) == (2, True)
    del db["a"], db["c"]
    assert (len(db), bool(db), list(db)) == (0, False, [])


def test_equality_and_no_hash(db: Any) -> None:
    db.update(a=1, b=[2])
    assert db == {"a": 1, "b": [2]} and db != {"a": 1} and db != 5
    with pytest.raises(TypeError):
        hash(db)


@pytest.mark.slow
def test_loop_over_keys_is_as_of_its_start(db: Any) -> None:
    db.update({str(number): number for number in range(250)})
    db.commit()
    seen = []
    for key in db:
        seen.append(key)
        db[str(249 - int(key))] = -1  # moves one to the end that the loop has not reached
        db[f"new {key}"] = 0
    assert seen == [str(number) for number in range(250)]
    for key in db.keys():  # noqa: SIM118 - an iterator, not a view
        del db[key]
    assert len(db) == 0


@pytest.mark.slow
def test_loop_over_items_may_delete_those_it_has_seen(db: Any) -> None:
    db.update({str(number): number for number in range(250)})
    for key, value in db.items():
        if value % 2:
            del db[key]
        else:
            db[key] = value + 1
    assert list(db.values()) == list(range(1, 250, 2))


def test_large_values(db: Any) -> None:
    big = bytes(range(256)) * 10_000
    db["big"] = big
    assert db["big"] == big
    db.commit()
    assert db["big"] == big and list(db.values()) == [big]


# -- committing


def test_uncommitted_writes_are_seen_by_the_object_alone(new: New) -> None:
    db, other = new(), new()
    db["a"] = 1
    db.commit()
    db["b"] = 2
    del db["a"]
    assert (list(db), "a" in db, db.get("b"), len(db)) == (["b"], False, 2, 1)
    assert (list(other), "b" in other, other["a"], len(other)) == (["a"], False, 1, 1)
    db.commit()
    assert (dict(other), list(other.keys())) == ({"b": 2}, ["b"])


@pytest.mark.parametrize("end", ["close", "with", "force", "exception"])
def test_uncommitted_writes_are_lost_at_the_end(new: New, end: str) -> None:
    db = new()
    db["kept"] = 1
    db.commit()
    db["lost"] = 2
    if end == "with":
        with db:
            db["also lost"] = 3
    elif end == "exception":
        with pytest.raises(LookupError), db:
            raise LookupError
    else:
        db.close(do_log=False, force=end == "force")
    assert dict(new()) == {"kept": 1}


def test_clear_is_committed(new: New) -> None:
    db = new()
    db["a"] = 1
    db.commit()
    db["b"] = 2
    db.clear()
    assert (list(db), len(db)) == ([], 0)
    db.close()
    assert list(new()) == []


def test_autocommit_is_seen_at_once(new: New) -> None:
    db, other = new(autocommit=True), new(autocommit=True)
    db["a"] = 1
    assert other["a"] == 1
    other.update(b=2)
    del other["a"]
    assert dict(db) == {"b": 2}
    db.commit(blocking=False)
    db.sync()


def test_commit_of_nothing(new: New) -> None:
    db = new()
    db.commit()
    db.commit(False)
    db.sync()
    db.close()
    db.commit()
    db.close()


def test_threads_share_uncommitted_writes(new: New) -> None:
    db = new()

    def work(number: int) -> None:
        for step in range(20):
            db[f"{number}-{step}"] = step

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(db) == 160 and db["7-19"] == 19
    db.commit()
    assert len(new()) == 160


# -- tables and files


def test_tables_are_listed_as_they_were_made(lib: Any, new: New, file: str) -> None:
    new()
    assert lib.SqliteDict.get_tablenames(file) == ["unnamed"]
    for table in ("zoo", "ant", 'a "quoted" náme', "9 nine"):
        new(file, table)
    new(file, "zoo")
    assert lib.SqliteDict.get_tablenames(file) == ["unnamed", "zoo", "ant", 'a "quoted" náme', "9 nine"]
    assert new().get_tablenames(Path(file))[:2] == ["unnamed", "zoo"]


def test_tables_are_apart(new: New) -> None:
    one, two = new(tablename="one", autocommit=True), new(tablename="two", autocommit=True)
    one["a"], two["a"] = 1, 2
    one.clear()
    assert (dict(one), dict(two)) == ({}, {"a": 2})


def test_case_of_a_table_name_does_not_count(lib: Any, new: New, file: str) -> None:
    new(tablename="Users", autocommit=True)["a"] = 1
    new(tablename="Ünder", autocommit=True)["a"] = 1
    assert dict(new(tablename="uSERS")) == {"a": 1}
    assert dict(new(tablename="ünder")) == {}
    assert lib.SqliteDict.get_tablenames(file) == ["Users", "Ünder", "ünder"]


def test_names_of_tables_of_no_file(lib: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        lib.SqliteDict.get_tablenames(str(tmp_path / "none.db"))


def test_flag_r_reads_only(new: New, tmp_path: Path, lib: Any) -> None:
    with new(autocommit=True) as db:
        db["a"] = 1
    reading = new(flag="r")
    assert (reading["a"], list(reading), len(reading), bool(reading)) == (1, ["a"], 1, True)
    for write in (
        lambda: reading.__setitem__("a", 2), lambda: reading.__delitem__("a"), lambda: reading.update(a=2),
        reading.clear, reading.terminate,
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            write()
    reading.commit()
    with pytest.raises(RuntimeError):
        lib.SqliteDict(str(tmp_path / "test.db"), "none", flag="r")
    assert lib.SqliteDict.get_tablenames(tmp_path / "test.db") == ["unnamed"]


def test_flag_w_empties_the_table(new: New) -> None:
    for table in ("one", "two"):
        with new(tablename=table, autocommit=True) as db:
            db["a"] = 1
    assert list(new(tablename="one", flag="w")) == []
    assert list(new(tablename="two")) == ["a"]
    with new(tablename="one", flag="w", autocommit=True) as db:
        db["b"] = 2
    with db:  # entered again, it is not emptied again
        assert list(db) == ["b"]


def test_flag_n_empties_the_file(lib: Any, new: New, file: str) -> None:
    for table in ("one", "two"):
        with new(tablename=table, autocommit=True) as db:
            db["a"] = 1
    assert list(new(tablename="two", flag="n")) == []
    assert lib.SqliteDict.get_tablenames(file) == ["two"]


def test_wrong_arguments(lib: Any, file: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        lib.SqliteDict(file, flag="x")
    with pytest.raises(RuntimeError):
        lib.SqliteDict(str(tmp_path / "none" / "x.db"))
    assert os.listdir(tmp_path) == []


def test_arguments_by_place(lib: Any, new: New, file: str) -> None:
    db = new(
        file, "t", "c", True, "WAL", json.dumps, json.loads, lib.encode_key, lib.decode_key, 10, False
    )  # fmt: skip
    db[1, 2] = [3]
    assert dict(db) == {(1, 2): [3]}
    assert (db.filename, db.tablename, db.flag, db.autocommit, db.journal_mode) == (file, "t", "c", True, "WAL")
    assert (db.encode, db.decode, db.encode_key, db.decode_key) == (json.dumps, json.loads, lib.encode_key, lib.decode_key)
    assert lib.SqliteDict.VALID_FLAGS == ["c", "r", "w", "n"]


@pytest.mark.parametrize("mode", ["DELETE", "OFF", "MEMORY", "TRUNCATE"])
def test_journal_modes_are_taken(new: New, mode: str) -> None:
    with new(journal_mode=mode, autocommit=True) as db:
        db["a"] = 1
    assert new()["a"] == 1


def test_open_is_the_class(lib: Any, file: str) -> None:
    with lib.open(file, tablename="t") as db:
        assert type(db) is lib.SqliteDict


def test_text(new: New, file: str) -> None:
    db = new()
    assert str(db) == repr(db) == f"SqliteDict({file})"
    db.close()
    assert str(db) == repr(db) == f"SqliteDict({file})"


def test_path_object(new: New, tmp_path: Path) -> None:
    new(tmp_path / "p.db", autocommit=True)["a"] = 1
    assert new(str(tmp_path / "p.db"))["a"] == 1


def test_memory_is_of_the_object(new: New) -> None:
    db, other = new(":memory:", autocommit=True), new(":memory:")
    db["a"] = 1
    assert (dict(db), dict(other)) == ({"a": 1}, {})
    assert str(db) == "SqliteDict(:memory:)"
    db.terminate()


def test_temporary_file_is_removed(lib: Any) -> None:
    with lib.SqliteDict() as db:
        db["a"] = 1
        db.commit()
        path = db.filename
        assert db.in_temp and os.path.exists(path) and f"{os.sep}sqldict" in path
        assert dict(db) == {"a": 1}
    assert not os.path.exists(path)


def test_closed_table_opens_again_by_with(new: New) -> None:
    db = new()
    for number in range(2):
        with db:
            db["key"] = number
            db.commit()
    with db:
        assert db["key"] == 1


def test_terminate_removes_the_file(new: New, file: str) -> None:
    db = new()
    db["a"] = 1
    db.commit()
    db.terminate()
    assert not os.path.exists(file)
    assert list(new()) == []


def test_subclass(lib: Any, file: str) -> None:
    class Upper(lib.SqliteDict):  # type: ignore[misc, name-defined]
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key.upper(), value)

    with Upper(file, autocommit=True) as db:
        db["a"] = 1
        assert db.setdefault("b", 2) == 2
        assert dict(db) == {"A": 1, "B": 2}


def test_cannot_be_pickled(db: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(db)


def test_closing_is_logged_unless_it_is_not_wanted(new: New, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sqlitedict")
    db = new()
    caplog.clear()
    db.close(do_log=False)
    assert "closing" not in caplog.text
    new().close()
    assert "closing SqliteDict(" in caplog.text
