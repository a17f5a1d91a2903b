"""Files that sqlitedict wrote: refused with a command, unchanged, and the same program on the copy that it makes."""

from __future__ import annotations

import collections
import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click.testing
import pytest
from sources import Hostile, library, state_of

from store import Store
from store.cli import cli
from store.compat.sqlitedict import SqliteDict, encode_key
from store.compat.sqlitedict.importing import import_tables
from store.errors import NotAStore
from store.importers import import_into

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "it's old"
    folder.mkdir()
    return folder


@pytest.fixture
def old(folder: Path) -> Path:
    """A file of sqlitedict itself, with several tables."""
    theirs = library("sqlitedict").SqliteDict
    path = folder / "old.sqlite"
    for table, items in (("unnamed", {"a": 1, "7": [2]}), ("Users", {"b": {"x": (1,)}}), ("empty", {})):
        with theirs(str(path), tablename=table, autocommit=True) as db:
            db.update(items)
    return path


def command(*words: object) -> Any:
    return click.testing.CliRunner().invoke(cli, [str(word) for word in words])


@pytest.mark.parametrize("flag", ["c", "r", "w", "n"])
def test_is_refused_and_untouched(old: Path, flag: str) -> None:
    before = state_of(old.parent)
    for use in (lambda: SqliteDict(old, flag=flag), lambda: SqliteDict(str(old), "Users", flag=flag), lambda: SqliteDict.get_tablenames(old)):
        with pytest.raises(NotAStore, match="a file of the library sqlitedict, and was not touched") as caught:
            use()
        assert caught.value.path == str(old)
    assert state_of(old.parent) == before


def test_command_of_the_error_is_followed_and_the_program_runs(old: Path) -> None:
    with pytest.raises(NotAStore) as caught:
        SqliteDict(old)
    before = old.read_bytes()
    line = re.search(r"`store (.*?)`", str(caught.value))
    new = re.search(r"then open (.*?)\. For", str(caught.value))
    assert line and new
    done = command(*shlex.split(line[1]))
    assert (done.exit_code, done.stdout) == (0, "imported 3\n")
    assert old.read_bytes() == before
    assert SqliteDict.get_tablenames(new[1]) == ["unnamed", "Users", "empty"]
    with SqliteDict(new[1]) as db, SqliteDict(new[1], "users") as users:
        assert (dict(db), db[7], dict(users)) == ({"a": 1, "7": [2]}, [2], {"b": {"x": (1,)}})
    again = command(*shlex.split(line[1]))
    assert again.stdout == "imported 0, unchanged 3\n"


def test_plain_import_of_the_default_table_is_found_too(folder: Path, path: Path) -> None:
    with library("sqlitedict").SqliteDict(str(folder / "old.sqlite"), autocommit=True) as db:
        db["a"] = 1
    done = command("import", "sqlitedict", folder / "old.sqlite", path)
    assert (done.stdout, done.stderr) == ("imported 1\n", "")
    with SqliteDict(path) as here:
        assert dict(here) == {"a": 1}


def test_report_says_how_records_of_several_tables_are_named(old: Path, path: Path) -> None:
    done = command("import", "sqlitedict", old, path)
    assert done.stdout == "imported 3\n"
    assert done.stderr == (
        "store: 3 tables, so each record is named table:name; --table T copies one of unnamed, Users, empty, --tables all\n"
        "store: unnamed:a is imported: its key was 'a', in the table 'unnamed'\n"
        "store: unnamed:7 is imported: its key was '7', in the table 'unnamed'\n"
        "store: Users:b is imported: its key was 'b', in the table 'Users'\n"
    )
    with Store(path) as s:
        assert set(s) == {"unnamed:a", "unnamed:7", "Users:b"}


def test_report_names_the_first_of_many_tables(folder: Path, path: Path) -> None:
    with closing(sqlite3.connect(folder / "old.sqlite")) as conn:
        for number in range(25):
            conn.execute(f"CREATE TABLE t{number} (key TEXT PRIMARY KEY, value BLOB)")
    done = command("import", "sqlitedict", folder / "old.sqlite", path)
    assert "25 tables, so" in done.stderr and "t18, t19, …, --tables all" in done.stderr and "t20" not in done.stderr


def test_table_of_several_keeps_its_names(old: Path, path: Path) -> None:
    done = command("import", "sqlitedict", old, path, "--table", "Users", "--namespace", "people")
    assert (done.stdout, done.stderr) == ("imported 1\n", "")
    with SqliteDict(path, "people") as people:
        assert list(people) == ["b"]


def test_tables_tell_where_they_go(old: Path, path: Path) -> None:
    done = command("import", "sqlitedict", old, path, "--tables", "--json")
    assert [one["name"] for one in json.loads(done.stdout)] == ["unnamed:a", "unnamed:7", "Users:b"]
    assert done.stderr == (
        "store: each table goes into the namespace of its name, unnamed into the default one: unnamed, Users, empty\n"
    )


def test_dry_run_writes_nothing(old: Path, path: Path) -> None:
    assert command("import", "sqlitedict", old, path, "--tables", "--dry-run").stdout == "to be imported 3\n"
    assert not path.exists()


def test_tables_join_those_that_are_there(old: Path, path: Path) -> None:
    with SqliteDict(path, "USERS", autocommit=True) as users:
        users["b"] = "mine"
    with Store(path) as s:
        results = {one.name: one.outcome for one in import_tables(s, old)}
    assert results == {"unnamed:a": "imported", "unnamed:7": "imported", "Users:b": "kept"}
    assert SqliteDict.get_tablenames(path) == ["USERS", "unnamed", "empty"]


def test_classes_are_refused_unless_they_are_allowed(folder: Path, path: Path) -> None:
    old, marker = folder / "old.sqlite", folder / "code has run"
    with library("sqlitedict").SqliteDict(str(old), autocommit=True) as db:
        db["it"] = collections.UserDict(a=1)
        db["evil"] = Hostile(marker)
    done = command("import", "sqlitedict", old, path, "--tables", "--allow", "collections.UserDict")
    assert (done.exit_code, done.stdout) == (1, "imported 1, refused 1\n")
    with SqliteDict(path) as here:
        assert dict(here) == {"it": collections.UserDict(a=1)}
    assert not marker.exists()


def test_values_of_an_encoder_are_imported_as_they_are_stored(folder: Path, path: Path) -> None:
    old = folder / "old.sqlite"
    with library("sqlitedict").SqliteDict(str(old), encode=json.dumps, decode=json.loads, autocommit=True) as db:
        db["a"] = {"x": [1, None]}
    done = command("import", "sqlitedict", old, path, "--tables")
    assert done.exit_code == 1 and "--encoded imports values as they are stored" in done.stderr
    assert command("import", "sqlitedict", old, path, "--tables", "--encoded").stdout == "imported 1\n"
    with SqliteDict(path, encode=json.dumps, decode=json.loads) as here:
        assert dict(here) == {"a": {"x": [1, None]}}


def test_encoded_values_are_not_decoded(folder: Path, path: Path) -> None:
    old, marker = folder / "old.sqlite", folder / "code has run"
    with library("sqlitedict").SqliteDict(str(old), autocommit=True) as db:
        db["evil"] = Hostile(marker)
    with Store[Any](path) as s:
        assert [one.outcome for one in import_into(s, "sqlitedict", old, encoded=True)] == ["imported"]
        assert type(s["evil"]) is bytes
    assert not marker.exists()


def test_encoded_keys_are_found(folder: Path, path: Path) -> None:
    theirs = library("sqlitedict")
    with theirs.SqliteDict(str(folder / "old.sqlite"), encode_key=theirs.encode_key, decode_key=theirs.decode_key) as db:
        db[1, "a"] = "x"
        db.commit()
    command("import", "sqlitedict", folder / "old.sqlite", path, "--tables")
    with SqliteDict(path, encode_key=encode_key, decode_key=lambda text: text) as here:
        assert here[1, "a"] == "x"


def test_file_of_another_program_is_not_called_one_of_sqlitedict(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE t (a, b)")
    with pytest.raises(NotAStore) as caught:
        SqliteDict(path)
    assert "sqlitedict" not in str(caught.value)
