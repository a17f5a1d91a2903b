"""`store.compat.sqlitedict` where it differs from sqlitedict on purpose: trust, errors, others at work, the `Store`."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from free import needs_held
from strangers import THEIRS

import store
from store import Store
from store.cli import cli
from store.compat import sqlitedict
from store.compat.sqlitedict import SqliteDict, tables
from store.compat.sqlitedict.coding import column_text
from store.errors import NotAStore, NotSerializable, StorageError, StoreClosed, StoreNotFound, Untrusted

Crowd = Callable[..., list[Any]]


class Marker:
    """Unpickled in full it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code has run"


def command(*words: object) -> Any:
    """Runs the command `store`."""
    return CliRunner().invoke(cli, [str(word) for word in words])


# -- a table is a namespace


def test_table_is_a_namespace(place: str) -> None:
    with SqliteDict(place, autocommit=True) as db, SqliteDict(place, "users", autocommit=True) as users:
        db["a"] = {"x": 1}
        users["b"] = 2
        assert dict(users.store) == {"b": 2}
    with Store(place) as s, s.within("users") as other:
        assert (dict(s), dict(other)) == ({"a": {"x": 1}}, {"b": 2})
        s["c"] = 3
        s.within("new")["d"] = 4
        assert s.verify().ok
    with SqliteDict(place, flag="r") as db:
        assert dict(db) == {"a": {"x": 1}, "c": 3}
    assert SqliteDict.get_tablenames(place) == ["unnamed", "users", "new"]


def test_flags_and_terminate(place: str) -> None:
    with SqliteDict(place, "one", autocommit=True) as one, SqliteDict(place, "two", autocommit=True) as two:
        one["a"], two["a"] = 1, 2
    with SqliteDict(place, "one", flag="w") as one, SqliteDict(place, "two", flag="r") as two:
        assert (dict(one), dict(two)) == ({}, {"a": 2})
    last = SqliteDict(place, "three", flag="n")
    assert SqliteDict.get_tablenames(place) == ["three"]
    last.terminate()
    with pytest.raises(StoreNotFound):
        SqliteDict.get_tablenames(place)


def test_commit_is_one_transaction_and_holds_nobody_up(place: str) -> None:
    with SqliteDict(place, timeout=0.1) as one, SqliteDict(place, timeout=0.1) as two:
        one.update(a=1, b=1)
        two.update(b=2, c=2)
        two.commit()
        one.commit()
        assert dict(one) == dict(two) == {"a": 1, "b": 1, "c": 2}
        with one.store.transaction():
            two["d"] = 4  # waits for no lock
        assert "d" not in one


def test_commit_that_fails_keeps_the_writes(place: str) -> None:
    with SqliteDict(place, timeout=0.05) as db, Store(place) as other:
        needs_held(other)
        db["a"] = 1
        with other.transaction():
            other["x"] = 1
            with pytest.raises(store.errors.LockTimeout):
                in_thread(db.commit)
        assert "a" not in other and db["a"] == 1
        db.commit()
        assert other["a"] == 1


def in_thread(work: Callable[[], None]) -> None:
    """Runs it in a thread; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def test_transaction_of_the_store_makes_steps_one(place: str) -> None:
    with SqliteDict(place, autocommit=True) as db:
        db["n"] = 1
        with pytest.raises(LookupError), db.store.transaction():
            db["n"] += 1
            db["m"] = 1
            raise LookupError
        assert dict(db) == {"n": 1}


def test_autocommit_may_be_set_later(place: str) -> None:
    with SqliteDict(place) as db, SqliteDict(place) as other:
        db["a"] = 1
        db.autocommit = True
        db["b"] = 2
        assert dict(other) == {"a": 1, "b": 2}
        del db["a"]
        assert dict(other) == {"b": 2}
        other["c"] = 3
        other.autocommit = True
    with SqliteDict(place) as db:
        assert dict(db) == {"b": 2, "c": 3}


def test_update_is_all_or_nothing(place: str) -> None:
    for autocommit in (False, True):
        with SqliteDict(place, autocommit=autocommit) as db:
            with pytest.raises(NotSerializable):
                db.update([("a", 1), ("b", lambda: 1)])
            assert dict(db) == {}


def test_reversed_is_the_latest_first(place: str) -> None:
    with SqliteDict(place) as db:
        db.update(a=1, b=2, c=3)
        db.commit()
        db["a"] = 4
        assert list(reversed(db)) == ["a", "c", "b"]


def test_items_assigned_meanwhile_have_their_new_value(place: str) -> None:
    with SqliteDict(place) as db:
        db.update({str(number): number for number in range(500)})
        db.commit()
        items = db.items()
        assert next(items) == ("0", 0)
        db["499"] = "new"
        del db["498"]
        assert list(items)[-2:] == [("497", 497), ("499", "new")]


@pytest.mark.heavy
def test_processes_share_a_file(path: Path, crowd: Crowd) -> None:
    code = """
    from store.compat.sqlitedict import SqliteDict
    path, number = sys.argv[1:]
    with SqliteDict(path, autocommit=True, timeout=60) as db, SqliteDict(path, f"table {number}", timeout=60) as own:
        for step in range(50):
            db[f"{number}-{step}"] = step
            with db.store.transaction():
                db["sum"] = db.get("sum", 0) + 1
            own[step] = number
            own.commit()
    print(json.dumps(number))
    """
    crowd(6, code, path)
    with SqliteDict(path) as db:
        assert len(db) == 301 and db["sum"] == 300
    assert len(SqliteDict.get_tablenames(path)) == 7


@pytest.mark.slow
def test_killed_process_loses_only_what_it_did_not_commit(path: Path) -> None:
    program = (
        "import os, sys; from store.compat.sqlitedict import SqliteDict\n"
        "db = SqliteDict(sys.argv[1]); db['kept'] = 1; db.commit(); db['lost'] = 2; os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 9
    with SqliteDict(path) as db:
        assert dict(db) == {"kept": 1}


@pytest.mark.slow
def test_forked_child_has_none_of_the_writes_and_waits_for_no_lock(path: Path) -> None:
    program = """
import os, sys, threading
from store.compat.sqlitedict import SqliteDict
db = SqliteDict(sys.argv[1])
db["a"] = 1
db.commit()
db["b"] = 2
go, done = threading.Event(), threading.Event()
class Slow:
    def __reduce__(self):
        go.set()
        done.wait()
        return str, ("slow",)
def assign():
    db["slow"] = Slow()
thread = threading.Thread(target=assign)
thread.start()
go.wait()
child = os.fork()
if not child:
    assert dict(db) == {"a": 1}, dict(db)
    db["child"] = 3
    db.commit()
    os._exit(0)
code = os.waitpid(child, 0)[1]
done.set()
thread.join()
db.commit()
print(code, dict(db))
"""
    done = subprocess.run([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout == "0 {'a': 1, 'child': 3, 'b': 2, 'slow': 'slow'}\n"


# -- nothing runs


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_of_somebody_else_is_decoded_restricted(path: Path, marker: Path) -> None:
    with Store[Any](path, key=THEIRS) as s:
        s["plain"] = [1]
        s["evil"] = Marker(marker)
    with SqliteDict(path) as db:
        assert db["plain"] == [1]
        with pytest.raises(Untrusted):
            db["evil"]
        values = db.values()
        assert next(values) == [1]
        with pytest.raises(Untrusted):
            next(values)
        del db["evil"]
        db.commit()
        assert list(db.values()) == [[1]]
    assert not marker.exists()


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_decoder_of_the_program_gets_only_own_bytes(path: Path, marker: Path) -> None:
    evil = pickle.dumps(Marker(marker))
    with Store[Any](path, key=THEIRS) as s:
        s["evil"] = evil
    with SqliteDict(path, encode=pickle.dumps, decode=pickle.loads, autocommit=True) as db:
        for read in (lambda: db["evil"], lambda: list(db.values()), lambda: dict(db.items()), lambda: db.pop("evil")):
            with pytest.raises(Untrusted, match="evil"):
                read()
        db["evil"] = 1  # the record is ours then
        assert dict(db) == {"evil": 1}
    assert not marker.exists()


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_decoder_of_keys_gets_only_own_names(path: Path, marker: Path) -> None:
    name = sqlitedict.encode_key(Marker(marker))
    with Store[Any](path, key=THEIRS) as s:
        s[name] = 1
    decode_key = lambda text: pickle.loads(b64decode(text))  # noqa: E731
    with SqliteDict(path, encode_key=sqlitedict.encode_key, decode_key=decode_key) as db:
        for read in (lambda: list(db), lambda: list(db.keys()), lambda: list(reversed(db)), lambda: list(db.items())):
            with pytest.raises(Untrusted):
                read()
        db[1] = "mine"
        with pytest.raises(Untrusted):
            list(db)
    with SqliteDict(path, encode_key=sqlitedict.encode_key, decode_key=sqlitedict.decode_key) as db:
        with pytest.raises(Untrusted):
            list(db)
    assert not marker.exists()


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_remedy_of_a_foreign_name_is_followed(path: Path) -> None:
    with Store[Any](path, key=THEIRS) as s:
        s["7"] = "theirs"
    with SqliteDict(path, decode_key=int) as db:
        with pytest.raises(Untrusted, match="take it over with `store admit`"):
            list(db)
        assert command("admit", path, "7", "--yes").exit_code == 0
        assert dict(db) == {7: "theirs"}


def test_remedy_of_a_value_that_cannot_be_pickled_is_followed(path: Path) -> None:
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed: codec='cloudpickle' is not tested here")
    with SqliteDict(path) as db, pytest.raises(NotSerializable, match="use the codec 'cloudpickle'"):
        db["f"] = lambda: 1
    with SqliteDict(path, codec="cloudpickle") as db:
        db["f"] = lambda: 1
        db.commit()
        assert db["f"]() == 1


def test_functions_of_the_module_run_nothing(marker: Path) -> None:
    with pytest.raises(Untrusted):
        sqlitedict.decode(pickle.dumps(Marker(marker)))
    with pytest.raises(Untrusted):
        sqlitedict.decode_key(sqlitedict.encode_key(Marker(marker)))
    assert not marker.exists()


# -- errors


@pytest.mark.parametrize("key", [b"x", (1,), object()])
def test_key_of_another_type(path: Path, key: Any) -> None:
    with SqliteDict(path) as db:
        for use in (lambda: db.__setitem__(key, 1), lambda: db[key], lambda: key in db, lambda: db.__delitem__(key)):
            with pytest.raises(TypeError, match="pass encode_key="):
                use()


def test_key_that_is_never_found_is_not_stored(path: Path) -> None:
    with SqliteDict(path) as db:
        for key in (None, float("nan")):
            with pytest.raises(TypeError, match="no look-up finds"):
                db[key] = 1
            with pytest.raises(KeyError):
                del db[key]
        with pytest.raises(OverflowError, match="64 bits"):
            db[2**63] = 1
        with pytest.raises(ValueError, match="NUL"):
            db["a\0b"] = 1
        assert len(db) == 0


def test_numbers_as_sqlite_writes_them() -> None:
    rng = random.Random(5)
    numbers = [float(f"{rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30):.{rng.randint(0, 14)}g}") for _ in range(5000)]
    numbers += [0.0, -0.0, 0.1 + 0.2, 1 / 3]
    with closing(sqlite3.connect(":memory:")) as conn:
        different = [
            (number, text) for number in numbers
            if (text := conn.execute("SELECT CAST(? AS TEXT)", (number,)).fetchone()[0]) != column_text(number)
        ]  # fmt: skip
    assert different == []


def test_encoder_that_returns_what_sqlite_does_not_take(path: Path) -> None:
    with SqliteDict(path, encode=lambda value: value, decode=lambda value: value) as db:
        with pytest.raises(TypeError, match="returned dict; let it return"):
            db["a"] = {}
        with pytest.raises(OverflowError):
            db["a"] = 2**64
        assert list(db) == []


def test_closed_table_says_so(path: Path) -> None:
    db = SqliteDict(path)
    db.close()
    for use in (lambda: db["a"], lambda: "a" in db, lambda: len(db), lambda: list(db), lambda: db.update(a=1), db.clear):
        with pytest.raises(StoreClosed, match="enter it by `with`"):
            use()
    with db:
        assert list(db) == []


def test_no_file_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="flag 'c' makes one") as raised:
        SqliteDict(tmp_path / "none.db", flag="r")
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(StoreNotFound):
        SqliteDict.get_tablenames(tmp_path / "none.db")
    assert os.listdir(tmp_path) == []


def test_terminate_while_another_has_the_file(path: Path) -> None:
    one, two = SqliteDict(path, autocommit=True), SqliteDict(path)
    one["a"] = 1
    with pytest.raises(StorageError):
        one.terminate()
    assert two["a"] == 1
    two.terminate()
    assert os.listdir(path.parent) == []


def test_terminate_of_a_file_that_is_gone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sqlitedict")
    db = SqliteDict(path)
    db.close()
    store.destroy(path)
    db.terminate()
    assert "gone already" in caplog.text


def test_table_name_that_lists_the_tables(path: Path) -> None:
    with pytest.raises(ValueError, match="another name"):
        SqliteDict(path, tables.LIST)
    with pytest.raises(TypeError, match="a table's name is a str"):
        SqliteDict(path, 5)  # type: ignore[arg-type]


@pytest.mark.damaged
def test_other_file_is_refused_and_untouched(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    for flag in "crwn":
        with pytest.raises(NotAStore):
            SqliteDict(path, flag=flag)
    assert path.read_bytes() == b"no database" * 100


# -- left open


def test_object_that_is_dropped_is_closed(path: Path) -> None:
    db = SqliteDict(path, autocommit=True)
    db["a"] = 1
    del db
    gc.collect()
    store.destroy(path)  # which would raise while it is open


def test_temporary_folder_goes_with_the_object() -> None:
    db = SqliteDict(autocommit=True)
    db["a"] = 1
    folder = Path(db.filename).parent  # type: ignore[arg-type]
    assert folder.stat().st_mode & 0o777 == 0o700
    del db
    gc.collect()
    assert not folder.exists()


@pytest.mark.slow
def test_temporary_folder_goes_at_the_exit_of_its_process_alone() -> None:
    program = """
import os, sys
from store.compat.sqlitedict import SqliteDict
db = SqliteDict(autocommit=True)
db["a"] = 1
folder = os.path.dirname(db.filename)
child = os.fork()
if not child:
    db.close()
    sys.exit(0 if os.path.exists(folder) else 1)
assert os.waitpid(child, 0)[1] == 0
assert db["a"] == 1
print(folder)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() and not os.path.exists(done.stdout.strip())


def test_options_of_the_store(path: Path) -> None:
    with SqliteDict(path, key=b"a key of 32 bytes, which is long", durability="full", codec="json", autocommit=True) as db:
        db["a"] = [1]
        assert db.store.record("a").codec == "json"
    with pytest.raises(TypeError):
        SqliteDict(path, nonsense=1)  # type: ignore[call-arg]


def test_record_can_be_shown_by_the_command(path: Path) -> None:
    with SqliteDict(path, encode=json.dumps, decode=json.loads, autocommit=True) as db:
        db["a"] = {"x": [1, None]}
    with Store(path) as s:
        assert s["a"] == '{"x": [1, null]}'
