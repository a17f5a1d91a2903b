"""Each command, used wrongly, or on files that are not what they seem; in this process."""

import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import Store

WRONG = [
    ("frob", 2, "No such command 'frob'; see 'store --help'"),
    ("--frob", 2, "No such option"),
    ("ls", 2, "Missing argument 'PATH'; see 'store ls --help'"),
    ("ls NOTHING", 1, "there is no store at"),
    ("ls TEXT", 1, "no SQLite database"),
    ("ls FOLDER", 1, "is a directory"),
    ("ls PATH --limit -1", 2, "--limit"),
    ("ls PATH --limit many", 2, "--limit"),
    ("ls PATH --frob", 2, "No such option"),
    ("ls PATH more", 2, "unexpected extra argument"),
    ("ls :memory:", 2, "ends with the command"),
    ("ls nosuch://x", 2, "unknown scheme"),
    ("ls ''", 2, "may not be empty"),
    ("get PATH", 2, "Missing argument 'NAME...'"),
    ("get PATH -name", 2, "put -- before the arguments: `store get -- PATH NAME...`"),
    ("rm PATH --name", 2, "put -- before the arguments: `store rm -- PATH [NAME...]`"),
    ("get PATH nobody", 1, "no record 'nobody'; `store ls`"),
    ("get NOTHING nobody", 1, "there is no store at"),
    ("get PATH greeting nobody", 1, "no record 'nobody'"),
    ("get PATH greeting nobody --json", 1, "no record 'nobody'"),
    ("get PATH limits --namespace settings --json", 1, "record 'limits': value: JSON has no tuple"),
    ("get PATH user:1 --raw", 1, "record 'user:1' is neither text nor bytes, but dict"),
    ("get PATH \udcff", 2, "not text in UTF-8"),
    ("set PATH name", 2, "Missing argument 'VALUE'"),
    ("set PATH name 1 --ttl 0", 2, "above 0"),
    ("set PATH name 1 --ttl -3", 2, "above 0"),
    ("set PATH name 1 --ttl nan", 2, "above 0"),
    ("set PATH name 1 --ttl soon", 2, "--ttl"),
    ("set PATH name 1 --ttl m", 2, "'m' is no time: a number of seconds, or such as 30m"),
    ("set PATH name 1 --ttl 1e400", 2, "above 0"),
    ("set PATH name 1 --ttl -1h", 2, "above 0"),
    ("set PATH name 1 --codec frob", 2, "--codec"),
    ("set PATH name 1 --tll 5", 2, "unexpected extra argument"),
    ("set PATH greeting 1 --if-missing", 1, "has record 'greeting' already; leave --if-missing out"),
    ("set PATH greeting 1 --if-revision 0", 1, "read it again and retry"),
    ("set PATH greeting 1 --if-revision 7", 1, "not at revision 7, it is at 1"),
    ("set PATH nobody 1 --if-revision 7", 1, "not at revision 7, there is none"),
    ("set NOTHING name 1 --if-revision 7", 1, "there is no store at"),
    ("set PATH greeting 1 --if-revision -1", 2, "--if-revision"),
    ("set PATH greeting 1 --if-revision 1 --if-missing", 2, "only one of"),
    ("set PATH greeting 1 --if-version 1 --if-missing", 2, "only one of"),
    ("set PATH greeting 1 --if-version old", 1, "is not the one that was read (it is at revision 1)"),
    ("set PATH nobody 1 --if-version old", 1, "is not the one that was read (there is none)"),
    ("set memory:// name 1", 2, "a store in memory ends with the command"),
    ("set NOTHING name 1 --if-version old", 1, "there is no store at"),
    ("set PATH name @NOTHING --bytes", 1, "No such file or directory"),
    ("set PATH name @NOTHING", 1, "No such file or directory"),
    ("set PATH name (1,) --codec json", 1, "JSON has no tuple"),
    ("set FOLDER name 1", 1, "is a directory"),
    ("set TEXT name 1", 1, "no SQLite database"),
    ("set NOTHING/x.db name 1", 1, "there is no directory"),
    ("rm PATH", 2, "Missing argument 'NAME...'"),
    ("rm PATH nobody", 1, "no record 'nobody'"),
    ("rm PATH greeting --prefix g", 2, "NAME or --prefix, not both"),
    ("rm NOTHING --prefix g", 1, "there is no store at"),
    ("ls PATH --sort colour", 2, "--sort"),
    ("ls PATH --sort size --after greeting", 2, "--after goes on in the order of names"),
    ("records", 2, "Missing argument 'PATH'"),
    ("records NOTHING", 1, "there is no store at"),
    ("records TEXT", 1, "no SQLite database"),
    ("records PATH greeting", 2, "unexpected extra argument"),
    ("records PATH --sort records", 2, "--sort"),
    ("records PATH --limit -1", 2, "--limit"),
    ("namespaces NOTHING", 1, "there is no store at"),
    ("namespaces PATH --namespace a", 2, "No such option"),
    ("namespaces PATH --sort expires", 2, "--sort"),
    ("stats NOTHING", 1, "there is no store at"),
    ("stats PATH greeting", 2, "unexpected extra argument"),
    ("touch PATH greeting", 2, "say for how long: --ttl SECONDS, or --forever"),
    ("touch PATH greeting --ttl 5 --forever", 2, "say for how long"),
    ("touch PATH greeting --ttl 0", 2, "above 0"),
    ("touch PATH greeting --ttl nan", 2, "above 0"),
    ("touch PATH greeting --ttl soon", 2, "--ttl"),
    ("touch PATH --ttl 5", 2, "Missing argument 'NAME...'"),
    ("touch PATH greeting nobody --ttl 5", 1, "no record 'nobody'"),
    ("touch NOTHING greeting --ttl 5", 1, "there is no store at"),
    ("purge NOTHING", 1, "there is no store at"),
    ("purge NOTHING --dry-run", 1, "there is no store at"),
    ("purge PATH greeting", 2, "unexpected extra argument"),
    ("purge TEXT", 1, "no SQLite database"),
    ("rm NOTHING nobody", 1, "there is no store at"),
    ("rm PATH -x", 2, "No such option"),
    ("info", 2, "Missing argument 'PATH'"),
    ("info NOTHING", 1, "there is no store at"),
    ("info PATH nobody", 1, "no record 'nobody'"),
    ("info PATH a b", 2, "unexpected extra argument"),
    ("inspect PATH", 2, "Missing argument 'NAME'"),
    ("inspect PATH nobody", 1, "no record 'nobody'"),
    ("inspect NOTHING nobody", 1, "there is no store at"),
    ("inspect TEXT nobody", 1, "no SQLite database"),
    ("admit PATH", 2, "name the records to admit, or pass --all"),
    ("admit PATH greeting --all", 2, "name the records to admit, or pass --all"),
    ("admit PATH nobody", 1, "no record 'nobody'"),
    ("admit NOTHING --all", 1, "there is no store at"),
    ("admit PATH --frob", 2, "No such option"),
    ("verify", 2, "Missing argument 'PATH'"),
    ("verify NOTHING", 1, "there is no store at"),
    ("verify TEXT", 1, "no SQLite database"),
    ("verify PATH greeting", 2, "unexpected extra argument"),
    ("export PATH", 2, "pass --raw"),
    ("export --raw NOTHING", 1, "there is no store at"),
    ("export --raw PATH PATH", 1, "File exists"),
    ("export --raw PATH a b", 2, "unexpected extra argument"),
    ("import TEXT PATH", 2, "pass --raw"),
    ("import --raw TEXT", 2, "Missing argument 'PATH'"),
    ("import --raw NOTHING PATH", 1, "No such file or directory"),
    ("import --raw TEXT PATH", 1, "line 1 is not a raw record"),
    ("import --raw FOLDER PATH", 1, "s a directory"),
    ("import --raw TEXT PATH --allow a.B", 2, "--raw takes no --allow"),
    ("import", 2, "Missing argument 'KIND'"),
    ("import shelve", 2, "Missing argument 'SRC'"),
    ("import shelve TEXT", 2, "Missing argument 'DST'"),
    ("import shelve TEXT PATH x", 2, "unexpected extra argument (x)"),
    ("import shelf TEXT PATH", 2, "no kind of source: one of shelve,"),
    ("import shelve TEXT PATH", 1, "no source of the kind shelve"),
    ("import shelve NOTHING PATH", 1, "there is nothing of the kind shelve at"),
    ("import shelve PATH PATH", 1, "is a store itself"),
    ("import json TEXT PATH --allow no.such.Class", 2, "there is no such module"),
    ("import json TEXT PATH --table x", 2, "--table goes with sqlitedict, django-sessions, django-cache alone"),
    ("import json TEXT PATH --tables", 2, "--tables goes with sqlitedict alone"),
    ("import json TEXT PATH --encoded", 2, "--encoded goes with sqlitedict alone"),
    ("import sqlitedict TEXT PATH --tables --table x", 2, "leave out --table and --namespace"),
    ("import json TEXT PATH --compat", 2, "--compat goes with diskcache alone"),
    ("import diskcache TEXT PATH --compat --prefix x", 2, "without --namespace and --prefix"),
    ("import json TEXT PATH --trust own", 2, "'own' is not one of"),
    ("export jsonl", 2, "Missing argument 'SRC'"),
    ("export xml PATH x", 2, "no kind of export: one of jsonl,"),
    ("export shelve PATH", 2, "Missing argument 'DST'"),
    ("export --raw PATH --prefix x", 2, "--raw takes no --prefix"),
    ("export jsonl PATH PATH", 1, "is not overwritten"),
    ("export pickles PATH FOLDER", 1, "is not overwritten"),
    ("export pickles NOTHING x", 1, "there is no store at"),
    ("key new more", 2, "unexpected extra argument"),
    ("settings show NOTHING", 1, "there is no store"),
    ("settings set PATH theme", 2, "Missing argument 'VALUE'"),
    ("settings reset NOTHING theme", 1, "there is no store"),
    ("sessions count NOTHING", 1, "there is no store"),
    ("sessions ls NOTHING", 1, "there is no store"),
    ("sessions clear NOTHING", 1, "there is no store"),
    ("demo PATH", 1, "exists already"),
    ("demo a b", 2, "unexpected extra argument"),
    ("demo --frob", 2, "No such option"),
]


@pytest.mark.parametrize(("line", "code", "words"), WRONG, ids=[line for line, _, _ in WRONG])
def test_wrong_use_is_one_line_and_changes_nothing(fails, filled, tmp_path, line, code, words):
    (tmp_path / "text").write_text("not a database, but text of some length\n" * 200)
    places = {"PATH": filled, "NOTHING": tmp_path / "nothing", "TEXT": tmp_path / "text", "FOLDER": tmp_path}
    for word, place in places.items():
        line = line.replace(word, str(place))
    besides = {f"{filled.name}{suffix}" for suffix in ("-shm", "-wal", ".lock")}  # any reader may make them
    before = _contents(tmp_path, besides)
    fails(code, words, *shlex.split(line))
    assert _contents(tmp_path, besides) == before


def _contents(folder: Path, besides: set[str]) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name not in besides}


def test_no_command_shows_the_help_and_is_wrong_use(run):
    result = run()
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: store ")


@pytest.mark.parametrize("variable", ["STORE_KEY", "STORE_KEY_FILE"])
def test_bad_key_in_the_environment(fails, stocked, monkeypatch, variable):
    with monkeypatch.context() as patch:  # the check after the test needs the real one
        patch.setenv(variable, "frob")
        result = fails(2 if variable == "STORE_KEY" else 1, "key", "ls", stocked)
    assert "frob" not in result.err or variable == "STORE_KEY_FILE"  # a key is never shown


# -- foreign and damaged files


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.filterwarnings("always")
def test_get_of_a_foreign_object_runs_nothing(run, place, tmp_path):
    trace = tmp_path / "trace"
    with Store(place, key="somebody else's key") as s:
        s.update({"evil": Evil(trace), "plain": [1]})
    warning, error = run("get", place, "evil").err.splitlines()
    assert warning.startswith("store: warning: ") and "a key this program does not hold" in warning
    assert error.startswith("store: record 'evil': it was not sealed with a key of yours")
    result = run("get", place, "plain")
    assert (result.code, result.out) == (0, "[1]\n")
    for args in (["ls", place, "--long"], ["info", place], ["info", place, "evil"], ["rm", place, "evil"]):
        assert run(*args).code == 0
    assert not trace.exists()


COLUMNS = "name codec protocol type python body spill seal crc revision created modified expires"
LOOSEN = """
UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), 'NOT NULL', '') WHERE name = 'records'
"""


@pytest.mark.damaged
@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("column", COLUMNS.split())
@pytest.mark.slow
def test_columns_that_hold_anything(run, filled, column):
    """Of a file that somebody made by hand: what cannot be shown is told in one line."""
    with Store(filled) as s:
        s["last"] = 1
    with closing(sqlite3.connect(filled)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute(LOOSEN)
        conn.commit()
    for value in (b"\x1b", "\x1b", -1, 1e300, None):
        with closing(sqlite3.connect(filled)) as conn:
            conn.execute(f"UPDATE records SET {column} = ? WHERE id = (SELECT max(id) FROM records)", [value])
            conn.commit()
        for line in (
            "ls PATH", "ls PATH --long", "ls PATH --json", "ls PATH --after a", "info PATH", "info PATH --json",
            "info PATH last", "info PATH last --json", "records PATH --long", "records PATH --sort size",
            "records PATH --sort modified", "records PATH --sort expires", "namespaces PATH", "stats PATH",
            "purge PATH --dry-run", "touch PATH last --ttl 5", "get PATH last greeting", "get PATH last", "set PATH last 1", "rm PATH last",
            "set PATH last 1",
        ):  # fmt: skip
            result = run(*shlex.split(line.replace("PATH", str(filled))))
            assert result.code in (0, 1) and (result.code == 0) == (result.err == ""), line
            assert result.err.count("\n") <= 1 and "\x1b" not in result.out + result.err
