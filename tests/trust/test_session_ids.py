"""`Sessions` against ids and records of others: absent, all alike, and no id shown anywhere."""

from __future__ import annotations

import logging
import pickle
import sqlite3
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from store import Store
from store.engines.contract import Fields
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Engine
from store.errors import Corrupt
from store.sessions import NoSuchSession, Sessions, ids
from store.sessions.ids import name_of
from store.sessions.records import warned


class Text(str):
    """As web frameworks have them."""

    def __len__(self) -> int:
        return 43

    def encode(self, *args):
        raise AssertionError("a method of the id's own was called")

    isascii = encode


LEN_43 = "x" * 43
MALFORMED = [
    None, b"x" * 43, 43, 4.3, ["x"] * 43, object(), "", "x", "x" * 42, "x" * 44, "x" * 10_000_000, "ü" * 43,
    "\0" * 43, "\ud800" * 43, "x" * 42 + "\0", "x" * 42 + "\n", " " * 43, "../" * 14 + "x", "'; DROP TABLE records;--",
    Text("x" * 10_000_000), Text(""), Text("\ud800" * 43),
]  # fmt: skip


def describe(value):
    return f"{type(value).__name__}-{str(value)[:8].encode('unicode_escape').decode()}"


@pytest.fixture
def sessions(place) -> Iterator[Sessions]:
    with Sessions(place, ttl=100) as opened:
        yield opened


def check_absent(sessions: Sessions, id: object) -> None:
    assert sessions.load(id) is sessions.rotate(id) is sessions.rotate(id, ttl=9) is None
    assert sessions.save(id, {}) is sessions.touch(id) is False
    with pytest.raises(NoSuchSession), sessions.edit(id):
        pytest.fail("the block ran")


@pytest.mark.parametrize("id", [*MALFORMED, LEN_43], ids=describe)
def test_id_that_nobody_was_given_is_absent(sessions, id, caplog):
    there = sessions.create({"user": "ann"})
    with caplog.at_level(logging.DEBUG):
        check_absent(sessions, id)
        assert sessions.delete(id) is False and sessions.record(id) is None
    assert caplog.text == ""
    assert (sessions.load(there), len(sessions), sessions.rejected) == ({"user": "ann"}, 1, 0)


def test_id_of_a_str_subclass_loads(sessions):
    id = sessions.create({"user": "ann"})
    assert sessions.load(Text(id)) == {"user": "ann"}


@pytest.mark.parametrize("id", [*MALFORMED, LEN_43, "there"], ids=describe)
def test_every_id_goes_the_same_way(path, id, monkeypatch):
    """One hash of as many bytes, one look-up of a name of one shape, whatever was asked for."""
    with Sessions(path, ttl=100) as sessions:
        _check_way(sessions, id, monkeypatch)


def _check_way(sessions, id, monkeypatch):
    if id == "there":
        id = sessions.create({})
    names, hashed = [], []
    blake2b = ids.blake2b
    monkeypatch.setattr(ids, "blake2b", lambda b, **rest: hashed.append(len(b)) or blake2b(b, **rest))
    read = Engine.read

    def recording(engine: Engine, statement: str, values: Any, *rest: Any) -> Any:
        if statement == sql.FIND_ONE[Fields.SEALED]:
            names.append(values[1])
        return read(engine, statement, values, *rest)

    monkeypatch.setattr(Engine, "read", recording)
    sessions.load(id)
    assert [(type(name), len(name)) for name in names] == [(str, 64)]
    assert hashed == [43]


def test_malformed_ids_have_no_name_that_could_be_planted(place):
    with Store(place, namespace="sessions") as s, Sessions(place, trust="data") as sessions:
        for id in (None, b"x" * 43, "", "x" * 42, "x" * 44, "ü" * 43):
            s[name_of(id)] = {"user": "eve"}
            assert sessions.load(id) is None


def test_changed_id_is_absent(sessions):
    id = sessions.create({"user": "ann"})
    for other in (id.swapcase(), id[::-1], id[:-1] + chr(ord(id[-1]) ^ 1), id[1:] + id[:1], f"{id} ", f"{id}\0"):
        assert sessions.load(other) is None
    assert sessions.load(id) == {"user": "ann"}


def test_hash_is_no_id(sessions):
    sessions.create({"user": "ann"})
    (record,) = sessions.records()
    for stolen in (record.name, record.name[:43]):
        check_absent(sessions, stolen)


def test_session_of_another_namespace_or_store_is_absent(kept, another):
    with Sessions(kept, ttl=100) as sessions:
        id = sessions.create({"user": "ann"})
    with Sessions(kept, namespace="other") as other:
        check_absent(other, id)
    with Sessions(another) as other:
        check_absent(other, id)


# -- records of others


def refused(sessions: Sessions, id: str, words: str) -> None:
    """It is absent for every method; the first is told, with the hash and without the id, the rest are counted."""
    warned.clear()
    before = sessions.rejected
    with pytest.warns(UserWarning, match=words) as told:
        assert sessions.load(id) is None
    (text,) = {str(warning.message) for warning in told}
    assert name_of(id) in text and id not in text and "store verify" in text
    assert str(told[0].filename) == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_absent(sessions, id)
    assert sessions.rejected >= before + 6


@pytest.fixture(autouse=True)
def told_nothing_yet() -> Iterator[None]:
    warned.clear()
    yield
    warned.clear()


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key this program does not hold")
@pytest.mark.parametrize("codec", ["json", "pickle"])
def test_session_sealed_by_somebody_else_is_absent(place, codec):
    with Sessions(place, key="the key of others", codec=codec) as theirs:
        id = theirs.create({"user": "eve"})
    with Sessions(place, codec=codec) as sessions:
        refused(sessions, id, "not sealed with a key of yours")
        assert len(sessions) == 1  # it is not lost: whoever has the key reads it
    with Sessions(place, key="the key of others", codec=codec) as theirs:
        assert theirs.load(id) == {"user": "eve"}
    with Sessions(place) as sessions:
        assert sessions.delete(id) is True


@pytest.mark.damaged
@pytest.mark.parametrize(
    "statement",
    ["UPDATE records SET body = x'7B7D'", "UPDATE records SET expires = expires + 1e6",
     "UPDATE records SET codec = 'pickle', protocol = 5"],
)  # fmt: skip
def test_altered_session_is_absent(sessions, change, statement):
    id = sessions.create({"user": "ann"})
    change(statement)
    refused(sessions, id, "seal|damaged|altered")


@pytest.mark.damaged
def test_session_moved_to_the_name_of_another_is_absent(sessions, change):
    ann, eve = sessions.create({"user": "ann"}), sessions.create({"user": "eve"})
    sessions.delete(eve)
    change("UPDATE records SET name = ?", name_of(eve))  # eve has stolen the session of ann
    refused(sessions, eve, "seal")
    assert sessions.load(ann) is None


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key this program does not hold")
@pytest.mark.parametrize(
    "codec, protocol, error", [("unheard", 1, "the codec 'unheard'"), ("json", 9, "json protocol 9")]
)
def test_foreign_session_of_an_unknown_format_is_absent(place, codec, protocol, error):
    with Sessions(place, key="the key of others") as theirs:
        id = theirs.create({})
    with Store(place, namespace="sessions", key="the key of others") as s:
        row = s.opened.find(name_of(id))
        s.opened.put(s.opened.values.sealer.seal(row._replace(codec=codec, protocol=protocol)))
    with Sessions(place) as sessions:
        refused(sessions, id, error)


@pytest.mark.parametrize("value", [[1], "text", 5], ids=repr)
def test_record_that_is_no_session_is_absent(place, sessions, value):
    id = sessions.create({})
    with Store(place, namespace="sessions") as s:
        s[name_of(id)] = value
    with pytest.warns(UserWarning, match=f"it holds {type(value).__name__}, no session"):
        check_absent_but_for_touch(sessions, id)


def check_absent_but_for_touch(sessions: Sessions, id: str) -> None:
    """`touch` does not decode."""
    assert sessions.load(id) is sessions.rotate(id) is None
    assert sessions.save(id, {}) is False
    with pytest.raises(NoSuchSession), sessions.edit(id):
        pytest.fail("the block ran")


def test_open_store_of_trust_data_reads_plain_sessions_of_others(place):
    """As the docstring says; it is why Sessions itself opens with trust="own"."""
    with Sessions(place, key="the key of others") as theirs:
        id = theirs.create({"user": "eve"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Store(place), Store(place, trust="own")
    with opened[0] as data, Sessions(data) as sessions:
        assert sessions.load(id) == {"user": "eve"}
    with opened[1] as own, Sessions(own) as sessions, pytest.warns(UserWarning, match="taken for absent"):
        assert sessions.load(id) is None


@pytest.mark.damaged
def test_damaged_file_is_an_error_and_no_absence(path, monkeypatch):
    """Else everybody would seem to have been logged out."""
    with Sessions(path) as sessions:
        id = sessions.create({})
    with closing(sqlite3.connect(path)) as conn:
        ((page,),) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_records_1'")
        ((size,),) = conn.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(Corrupt, match="is damaged"):
        Sessions(path)  # it cannot be known whether they are in shards
    monkeypatch.setattr("store.mapping.sharding.sharded._agreed", lambda first, *_, **__: first)
    with Sessions(path) as sessions:
        for call in (
            sessions.load,
            sessions.touch,
            sessions.rotate,
            sessions.delete,
            lambda id: sessions.save(id, {}),
        ):
            with pytest.raises(Corrupt, match="is damaged"):
                call(id)
        assert sessions.rejected == 0


# -- the id is shown nowhere


class Unspeakable:
    def __reduce__(self):
        raise KeyError("of the class")


def test_no_error_shows_an_id(sessions, caplog, shows_no_secret):
    id = sessions.create({"a": 1})

    def nested():
        with sessions.edit(id), sessions.edit(id):
            pass

    def ended_inside():
        with sessions.edit(id) as data:
            data["b"] = 1
            sessions.delete(id)

    def changed_badly():
        with sessions.edit(id) as data:
            data["b"] = {1}

    calls = [
        nested, ended_inside, changed_badly,
        lambda: sessions.save(id, {"x": object()}), lambda: sessions.save({}, id), lambda: sessions.create(id),
        lambda: sessions.touch(id, ttl=0), lambda: sessions.rotate(id, ttl="x"), lambda: sessions.edit(id[1:] + "x").__enter__(),
        lambda: id in sessions,
    ]  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        for call in calls:
            with pytest.raises(Exception) as caught:
                call()
            shows_no_secret(caught.value, id)
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
            assert id not in shown and id not in pickle.dumps(caught.value).decode("latin-1")
    assert caplog.text == ""
    assert id not in repr(sessions) + str(sessions) + repr(vars(sessions))
    assert sessions.load(id) == {"a": 1}


def test_key_error_out_of_the_data_is_no_missing_session(place):
    """Taken for one, `save` would say False, and a session would seem to have ended."""
    with Sessions(place, codec="pickle") as sessions:
        id = sessions.create({})
        for write in (lambda: sessions.save(id, {"x": Unspeakable()}), lambda: sessions.create({"x": Unspeakable()})):
            with pytest.raises(Exception, match="of the class") as caught:
                write()
            assert not isinstance(caught.value, NoSuchSession)
