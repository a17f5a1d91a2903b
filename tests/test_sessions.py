"""`Sessions`: what each method gives, writes and refuses."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.transaction import HeldTransaction
from store.errors import Conflict, NotSerializable, ReadOnly, StoreClosed, StoreError, StoreNotFound
from store.sessions import FOREVER, TWO_WEEKS, UNSET, NoSuchSession, Sessions

DATA = {"user": "ann", "cart": [1, {"tea": 2.5}], "new": None}


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def sessions(request, place, clock) -> Iterator[Sessions]:
    with Sessions(place, ttl=100, clock=clock, shards=request.param) as opened:
        yield opened


def left(sessions: Sessions, id: str, clock) -> float | None:
    """Seconds that a session has left to live."""
    record = sessions.record(id)
    assert record is not None
    return None if record.expires is None else record.expires.timestamp() - clock.now


class Stepping:
    """A clock that goes on by `step` seconds whenever it is asked, once it was set going."""

    def __init__(self) -> None:
        self.now, self.step = 1_800_000_000.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


# -- create, load, save


def test_ids_that_a_command_line_would_take_for_options_are_not_given(sessions, monkeypatch):
    good = "a" * 43
    drawn = iter(["-h" + good[2:], "--" + good[2:], good, "-" + good[1:], "b" * 43])
    monkeypatch.setattr("store.sessions.ids.secrets.token_urlsafe", lambda count: next(drawn))
    assert sessions.create({"a": 1}) == good
    assert sessions.rotate(good) == "b" * 43
    assert sessions.load("b" * 43) == {"a": 1}


def test_create_gives_an_id_of_256_bits_that_loads(sessions):
    ids = [sessions.create(DATA) for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[\w-]{43}", id, re.ASCII) for id in ids)
    assert [sessions.load(id) for id in ids] == [DATA] * 50


def test_store_of_the_sessions_gives_one_transaction_to_several_steps(sessions):
    id = sessions.create({"a": 1})
    with pytest.raises(RuntimeError, match="halfway"), sessions.store.transaction():
        assert sessions.rotate(id) and sessions.create({})
        raise RuntimeError("halfway")
    assert (sessions.load(id), len(sessions)) == ({"a": 1}, 1)


def test_load_gives_a_fresh_dict_each_time(sessions):
    id = sessions.create(DATA)
    sessions.load(id)["cart"].append("never saved")
    assert sessions.load(id) == DATA


def test_save_replaces_the_data_and_keeps_the_expiry(sessions, clock):
    id = sessions.create(DATA)
    clock.advance(40)
    assert sessions.save(id, {"a": 1}) is True
    assert sessions.load(id) == {"a": 1}
    assert left(sessions, id, clock) == 60


def test_save_of_two_the_last_one_wins(sessions):
    id = sessions.create({})
    first, second = sessions.load(id), sessions.load(id)
    first["first"], second["second"] = 1, 2
    assert sessions.save(id, first) and sessions.save(id, second)
    assert sessions.load(id) == {"second": 2}


def test_save_never_makes_a_session(sessions):
    assert sessions.save("a" * 43, {"user": "ann"}) is False
    assert (len(sessions), sessions.load("a" * 43)) == (0, None)


def test_save_that_fails_leaves_what_was_there(sessions):
    id = sessions.create(DATA)
    with pytest.raises(NotSerializable):
        sessions.save(id, {"x": {1, 2}})
    assert sessions.load(id) == DATA


@pytest.mark.parametrize("wrong", [None, "text", [("user", "ann")], 5])
def test_data_that_are_no_dict_are_refused_without_being_shown(sessions, wrong):
    id = sessions.create(DATA)
    for call in (lambda: sessions.create(wrong), lambda: sessions.save(id, wrong)):
        with pytest.raises(TypeError, match=f"are a dict, not {type(wrong).__name__}$"):
            call()
    assert (sessions.load(id), len(sessions)) == (DATA, 1)


def test_data_that_json_cannot_hold_are_named_by_their_path(sessions):
    with pytest.raises(NotSerializable, match=re.escape("value['a']['b'][1]: JSON has no OrderedDict")) as caught:
        sessions.create({"a": {"b": [0, OrderedDict()]}})
    assert caught.value.path == "value['a']['b'][1]"
    assert len(sessions) == 0


def test_codec_pickle_holds_what_json_cannot(place):
    data = {"set": {1, 2}, "pair": (1, 2)}
    with Sessions(place, codec="pickle") as sessions:
        id = sessions.create(data)
        assert sessions.load(id) == data
        new = sessions.rotate(id)
        assert sessions.load(new) == data
        assert sessions.record(new).codec == "pickle"


def test_sessions_of_another_codec_keep_theirs(place):
    with Sessions(place, codec="pickle") as sessions:
        id = sessions.create({"set": {1}})
    with Sessions(place) as sessions:
        with sessions.edit(id) as data:
            data["set"].add(2)
        id = sessions.rotate(id)
        assert sessions.save(id, {"set": sessions.load(id)["set"] | {3}})
        assert sessions.load(id) == {"set": {1, 2, 3}}
        assert sessions.record(sessions.create({})).codec == "json"


# -- edit


def test_edit_writes_back_and_keeps_the_expiry(sessions, clock):
    id = sessions.create(DATA)
    clock.advance(40)
    with sessions.edit(id) as data:
        data["cart"].append("coffee")
    assert sessions.load(id)["cart"] == [*DATA["cart"], "coffee"]
    assert left(sessions, id, clock) == 60


def test_edit_that_fails_writes_nothing(sessions):
    id = sessions.create(DATA)
    with pytest.raises(KeyError, match=r"^'of the block'$") as caught, sessions.edit(id) as data:
        data.clear()
        raise KeyError("of the block")
    assert not isinstance(caught.value, NoSuchSession)
    assert sessions.load(id) == DATA


def test_edit_of_an_absent_session_is_a_key_error(sessions):
    with pytest.raises(KeyError) as caught, sessions.edit("a" * 43):
        pytest.fail("the block ran")
    assert type(caught.value) is NoSuchSession


ABSENT = {
    "load": lambda sessions: sessions.load("a" * 43),
    "save": lambda sessions: sessions.save("a" * 43, {}),
    "edit": lambda sessions: edited(sessions, "a" * 43),
    "touch": lambda sessions: sessions.touch("a" * 43),
    "rotate": lambda sessions: sessions.rotate("a" * 43),
    "delete": lambda sessions: sessions.delete("a" * 43),
}


@pytest.mark.parametrize("how", ABSENT)
def test_absent_session_is_answered_without_waiting_for_writers(place, how):
    """Else anybody could hold up everybody with forged ids."""
    with Store(place) as busy, Sessions(place, timeout=0) as sessions, ThreadPoolExecutor(1) as pool:
        with busy.transaction():
            done = pool.submit(ABSENT[how], sessions)
            error = done.exception(60)
            assert isinstance(error, NoSuchSession) if how == "edit" else not done.result()


def test_edit_inside_an_edit_of_the_same_session_is_refused(sessions):
    id = sessions.create({})
    with pytest.raises(StoreError, match="being edited by this thread already"):
        with sessions.edit(id), sessions.edit(id):
            pytest.fail("the block ran")


@pytest.mark.parametrize("how", ["delete", "rotate"])
def test_end_inside_an_edit_that_changed_something_is_a_conflict(sessions, how):
    id = sessions.create({})
    with pytest.raises(Conflict, match="inside its own edit"), sessions.edit(id) as data:
        data["x"] = 1
        getattr(sessions, how)(id)
    assert (sessions.load(id), len(sessions)) == ({}, 1)


def test_no_such_session_survives_pickling():
    again = pickle.loads(pickle.dumps(NoSuchSession()))
    assert type(again) is NoSuchSession
    assert str(again) == str(NoSuchSession()) == "there is no such session: it expired, was deleted, or never was"


# -- touch


def test_touch_slides_the_expiry_by_the_default(sessions, clock):
    id = sessions.create(DATA)
    for _ in range(3):
        clock.advance(99)
        assert sessions.touch(id) is True
    assert left(sessions, id, clock) == 100
    assert sessions.load(id) == DATA


def test_touch_with_a_ttl_gives_exactly_that(sessions, clock):
    id = sessions.create(DATA)
    assert sessions.touch(id, ttl=500) and left(sessions, id, clock) == 500
    assert sessions.touch(id, ttl=5) and left(sessions, id, clock) == 5


def test_touch_without_a_ttl_never_shortens(sessions, clock):
    id = sessions.create(DATA, ttl=1000)
    before = sessions.record(id)
    assert sessions.touch(id) is True
    assert sessions.record(id) == before
    clock.advance(950)
    assert sessions.touch(id) is True
    assert left(sessions, id, clock) == 100


def test_for_ever_has_to_be_said(sessions, place, clock):
    id = sessions.create(DATA, ttl=FOREVER)
    assert left(sessions, id, clock) is None
    other = sessions.create(DATA)
    assert sessions.touch(other, ttl=FOREVER) and left(sessions, other, clock) is None
    assert left(sessions, sessions.rotate(sessions.create(DATA), ttl=FOREVER), clock) is None
    for call in (
        lambda: Sessions(place, ttl=None), lambda: sessions.create({}, ttl=None), lambda: sessions.touch(id, ttl=None),
        lambda: sessions.rotate(id, ttl=None), lambda: sessions.save(id, {}, ttl=None),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"store\.sessions\.FOREVER"):
            call()
    with pytest.raises(TypeError, match="ttl is a number of seconds"):
        Sessions(place, ttl=UNSET)


def test_save_with_a_ttl_renews(sessions, clock):
    id = sessions.create(DATA, ttl=5)
    assert sessions.save(id, {"n": 2}, ttl=500)
    assert (sessions.load(id), left(sessions, id, clock)) == ({"n": 2}, 500)
    assert sessions.save(id, {"n": 3}, ttl=FOREVER) and left(sessions, id, clock) is None
    with pytest.raises(NotSerializable):
        sessions.save(id, {"n": object()}, ttl=5)
    assert (sessions.load(id), left(sessions, id, clock)) == ({"n": 3}, None)
    assert sessions.save("a" * 43, {}, ttl=5) is False


def test_touch_does_not_decode(place, clock):
    class Codec:
        name = "counted"
        decoded = 0

        def encode(self, value: Any) -> bytes:
            return repr(value).encode()

        def decode(self, body: bytes) -> Any:
            Codec.decoded += 1
            return {}

    with Sessions(place, codec=Codec(), clock=clock) as sessions:
        id = sessions.create({})
        assert sessions.touch(id, ttl=5)
        assert Codec.decoded == 0
        assert sessions.load(id) == {} and Codec.decoded == 1


def test_touch_where_the_default_is_for_ever(place, clock):
    with Sessions(place, ttl=FOREVER, clock=clock) as sessions:
        id = sessions.create({}, ttl=5)
        assert left(sessions, id, clock) == 5
        assert sessions.touch(id) and left(sessions, id, clock) is None
        assert sessions.touch(id, ttl=5) and left(sessions, id, clock) == 5


# -- rotate and delete


def test_rotate_moves_the_data_and_the_rest_of_the_life(sessions, clock):
    old = sessions.create(DATA)
    clock.advance(40)
    new = sessions.rotate(old)
    assert new != old
    assert (sessions.load(old), sessions.load(new), len(sessions)) == (None, DATA, 1)
    assert left(sessions, new, clock) == 60
    assert sessions.rotate(old) is None
    assert sessions.save(old, {}) is sessions.touch(old) is sessions.delete(old) is False


@pytest.mark.parametrize("own_ttl", [5, 1000])
def test_rotate_keeps_a_life_other_than_the_default(sessions, clock, own_ttl):
    new = sessions.rotate(sessions.create(DATA, ttl=own_ttl))
    assert left(sessions, new, clock) == own_ttl


def test_rotate_with_a_ttl_renews(sessions, clock):
    new = sessions.rotate(sessions.create(DATA), ttl=500)
    assert left(sessions, new, clock) == 500


def test_modify_is_one_step_with_a_lifetime(sessions, clock):
    id = sessions.create(DATA)
    clock.advance(10)
    assert sessions.modify(id, lambda data: {**data, "n": 1})
    assert (sessions.load(id), left(sessions, id, clock)) == ({**DATA, "n": 1}, 90)
    assert sessions.modify(id, lambda data: {**data, "n": data["n"] + 1}, ttl=50)
    assert (sessions.load(id), left(sessions, id, clock)) == ({**DATA, "n": 2}, 50)
    for forged in (None, "x" * 43, "x"):
        assert sessions.modify(forged, lambda data: pytest.fail("there is no session"), ttl=50) is False


def test_modify_that_fails_writes_nothing(sessions, clock):
    id = sessions.create(DATA)
    clock.advance(10)
    with pytest.raises(NotSerializable):
        sessions.modify(id, lambda data: {"a": object()}, ttl=500)
    with pytest.raises(TypeError, match="are a dict, not NoneType"):
        sessions.modify(id, lambda data: None, ttl=500)
    with pytest.raises(KeyError, match="missing"):
        sessions.modify(id, lambda data: data["missing"], ttl=500)
    assert (sessions.load(id), left(sessions, id, clock)) == (DATA, 90)


def test_rotate_where_the_session_is_for_ever(place, clock):
    with Sessions(place, ttl=FOREVER, clock=clock) as sessions:
        id = sessions.create(DATA)
    with Sessions(place, ttl=100, clock=clock) as sessions:
        assert left(sessions, sessions.rotate(id), clock) is None


def test_rotate_changes_the_data_in_the_same_step(sessions, clock):
    old = sessions.create(DATA)
    new = sessions.rotate(old, change=lambda data: data.update(user="ann"))
    assert (sessions.load(old), sessions.load(new)) == (None, {**DATA, "user": "ann"})
    assert left(sessions, new, clock) == 100


def test_rotate_with_a_change_that_fails_leaves_the_session(sessions):
    old = sessions.create(DATA)
    with pytest.raises(NotSerializable):
        sessions.rotate(old, change=lambda data: data.update(user=object()))
    with pytest.raises(KeyError, match="nobody"):  # of the program's own: no sign that the session is gone
        sessions.rotate(old, change=lambda data: data["nobody"])
    assert (sessions.load(old), len(sessions)) == (DATA, 1)


def test_rotate_is_undone_with_the_transaction_around_it(place):
    with Store(place, trust="own") as s, Sessions(s) as sessions:
        old = sessions.create(DATA)
        with pytest.raises(ZeroDivisionError), s.transaction():
            new = sessions.rotate(old)
            1 / 0
        assert (sessions.load(old), sessions.load(new)) == (DATA, None)


def test_delete_says_whether_it_was_there(sessions):
    id = sessions.create(DATA)
    assert sessions.delete(id) is True
    assert sessions.delete(id) is False
    assert sessions.load(id) is None


# -- expiry


def test_expired_session_cannot_be_brought_back(sessions, clock):
    id = sessions.create(DATA)
    data = sessions.load(id)
    clock.advance(100)
    assert sessions.load(id) is sessions.rotate(id) is sessions.record(id) is None
    assert sessions.save(id, data) is sessions.touch(id) is sessions.touch(id, ttl=9) is sessions.delete(id) is False
    with pytest.raises(NoSuchSession), sessions.edit(id):
        pytest.fail("the block ran")
    assert len(sessions) == 0


def test_session_that_expires_inside_an_edit_stays_expired(sessions, clock):
    id = sessions.create({})
    with sessions.edit(id) as data:
        data["x"] = 1
        clock.advance(100)
    assert (sessions.load(id), len(sessions)) == (None, 0)


def edited(sessions: Sessions, id: str) -> None:
    with sessions.edit(id) as data:
        data["x"] = 1


# Each gives the id by which the session lives on, or None where the call gives it no new time.
WRITES = {
    "save": lambda sessions, id: sessions.save(id, {"x": 1}) and None,
    "edit": edited,
    "touch": lambda sessions, id: id if sessions.touch(id, ttl=1000) else None,
    "rotate": lambda sessions, id: sessions.rotate(id) and None,
    "rotate and renew": lambda sessions, id: sessions.rotate(id, ttl=1000),
}


@pytest.mark.parametrize("how", WRITES)
def test_session_that_expires_while_it_is_written_does_not_come_back(place, how):
    """The clock goes on each time it is read: the end comes before, between and after all the steps of a call."""
    clock = Stepping()
    outcomes = set()
    with Sessions(place, ttl=100, clock=clock) as sessions:
        for steps in range(12):
            id = sessions.create({})
            end = clock.now + 100
            clock.now, clock.step = end - steps - 0.5, 1.0
            try:
                alive = WRITES[how](sessions, id)
            except NoSuchSession:
                alive = None
            clock.step = 0.0
            clock.now = max(clock.now, end + 12)
            assert (sessions.load(alive), len(sessions)) == ({} if alive else None, 1 if alive else 0)
            outcomes.add(bool(alive))
            sessions.delete(alive)
    assert outcomes == ({False, True} if how in ("touch", "rotate and renew") else {False})


@pytest.mark.parametrize("sessions", [1], ids=[""], indirect=True)  # of one namespace
def test_clear_expired_deletes_in_small_transactions(sessions, clock, place, monkeypatch):
    kept = sessions.create({}, ttl=1000)
    with Store(place) as s, Sessions(s, ttl=3600) as others, s.transaction():
        for _ in range(600):
            others.create({})
    clock.advance(100)
    assert len(sessions) == 1
    commits = []
    engine = sessions.store.opened.engine
    kind, name = (type(engine), "apply") if engine.transactions.optimistic else (HeldTransaction, "_commit")
    commit = getattr(kind, name)
    monkeypatch.setattr(kind, name, lambda self, *args, **how: commits.append(1) or commit(self, *args, **how))
    assert sessions.clear_expired() == 600
    assert len(commits) > 600 // 256
    assert sessions.clear_expired() == 0
    assert sessions.load(kept) == {}
    with Store(place, namespace="sessions") as s:  # by a clock that stands long before: nothing is there but that
        assert [record.name for record in s.records()] == [record.name for record in sessions.records()]


def test_default_ttl_is_two_weeks(place, clock):
    with Sessions(place, clock=clock) as sessions:
        assert left(sessions, sessions.create({}), clock) == sessions.ttl == TWO_WEEKS == 14 * 86400


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), "60", True])
def test_ttl_that_can_never_be_right_is_refused(sessions, place, ttl):
    id = sessions.create(DATA)
    before = sessions.record(id)
    for call in (
        lambda: Sessions(place, ttl=ttl),
        lambda: sessions.create({}, ttl=ttl),
        lambda: sessions.touch(id, ttl=ttl),
        lambda: sessions.rotate(id, ttl=ttl),
        lambda: sessions.touch("a" * 43, ttl=ttl),
        lambda: sessions.rotate("a" * 43, ttl=ttl),
    ):
        with pytest.raises((TypeError, ValueError), match="ttl is a number of seconds"):
            call()
    assert (sessions.record(id), len(sessions)) == (before, 1)


# -- the object


def test_records_are_metadata_by_hash(sessions):
    ids = {sessions.create({}), sessions.create(DATA)}
    names = [record.name for record in sessions.records()]
    assert len(names) == len(sessions) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", name) for name in names) and not ids & set(names)
    assert [record.name for record in sessions.records(names[0][:8])] == [names[0]]
    assert {sessions.record(id).name for id in ids} == set(names)


def test_name_of_a_record_is_as_it_ever_was(place):
    """On disk: another hash, or another input to it, would end every session that there is."""
    from store.sessions.ids import name_of

    assert name_of("A" * 43) == "d2bacf116f6339caa58bf10353e2948f803276c8ba69d60530eceb73dff4c1a8"


def test_sessions_without_any_are_still_true(sessions):
    assert len(sessions) == 0 and bool(sessions)


def test_repr_shows_file_namespace_and_count(place):
    sessions = Sessions(place, namespace="web", key="a very secret key")
    sessions.create(DATA)
    assert repr(sessions) == f"<Sessions {str(place)!r} namespace='web' 1 sessions>"
    sessions.close()
    assert repr(sessions) == f"<Sessions {str(place)!r} namespace='web' closed>"


def test_open_store_is_shared_and_stays_open(place, clock):
    with Store(place, trust="own", ttl=5, clock=clock, key="the key of the store") as s:
        s["settings"] = 1
        with Sessions(s, ttl=100, namespace="web") as sessions:
            id = sessions.create(DATA)
            assert left(sessions, id, clock) == 100
            assert (sessions.location, sessions.namespace, sessions.ttl) == (str(place), "web", 100)
            with pytest.raises(ZeroDivisionError), s.transaction():
                sessions.save(id, {})
                1 / 0
            assert sessions.load(id) == DATA
        assert dict(s) == {"settings": 1}
        with Sessions(s, ttl=FOREVER, namespace="web") as sessions:  # for ever, whatever the Store says
            assert left(sessions, sessions.create({}), clock) is None
            assert sessions.touch(id) and left(sessions, id, clock) is None
            assert left(sessions, sessions.rotate(id), clock) is None


def test_options_that_cannot_be_are_refused(path):
    with Store(path) as s, pytest.raises(TypeError, match="key: give options to the Store that you open"):
        Sessions(s, key="the key of the store")
    with pytest.raises(TypeError, match="no writeback"):
        Sessions(path, writeback=True)
    with Store(path, writeback=True) as s, pytest.raises(TypeError, match="no writeback"):
        Sessions(s)
    with pytest.raises(ValueError, match="unknown codec 'yml'"):
        Sessions(path, codec="yml")
    with pytest.raises(StoreNotFound):
        Sessions(path.parent / "none.db", mode="w")


def test_read_only_loads_and_refuses_to_write(place):
    with Sessions(place) as sessions:
        id = sessions.create(DATA)
    with Sessions(place, mode="r") as sessions:
        assert sessions.load(id) == DATA
        for call in (
            lambda: sessions.create({}), lambda: sessions.save(id, {}), lambda: sessions.touch(id),
            lambda: sessions.rotate(id), lambda: sessions.delete(id), lambda: sessions.edit(id).__enter__(),
        ):  # fmt: skip
            with pytest.raises(ReadOnly):
                call()


def test_closed_sessions_say_so(place):
    sessions = Sessions(place)
    id = sessions.create({})
    sessions.close()
    sessions.close()
    for call in (lambda: sessions.load(id), lambda: sessions.load(None), sessions.__enter__, lambda: len(sessions)):
        with pytest.raises(StoreClosed):
            call()


def test_sessions_are_not_a_container_of_ids(sessions):
    id = sessions.create({})
    for call in (lambda: id in sessions, lambda: list(sessions), lambda: sessions[id]):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy], ids=["pickle", "copy"])
def test_pickled_sessions_open_the_file_again(place, again):
    with Sessions(place, ttl=100, namespace="web", codec="pickle") as sessions:
        id = sessions.create({"set": {1}})
        with again(sessions) as other:
            assert (other.ttl, other.namespace, other.location) == (100, "web", str(place))
            assert other.load(id) == {"set": {1}}
            assert sessions.load(other.create({"set": {2}})) == {"set": {2}}
        assert sessions.load(id) == {"set": {1}}


def test_pickled_sessions_carry_no_key_and_no_id(place):
    with Sessions(place, key="a very secret key") as sessions:
        id = sessions.create({})
        bytes_ = pickle.dumps(sessions)
    assert b"secret" not in bytes_ and id.encode() not in bytes_


def test_sessions_in_memory(clock):
    with Sessions(":memory:", clock=clock) as sessions:
        id = sessions.create(DATA)
        assert sessions.load(sessions.rotate(id)) == DATA
        with pytest.raises(TypeError, match="in-memory store cannot be pickled"):
            pickle.dumps(sessions)


def test_import_of_the_package_does_not_load_sessions():
    program = "import sys, store; sys.exit('store.sessions' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_file_holds_no_id(path: Path):
    with Sessions(path) as sessions:
        ids = [sessions.create(DATA)]
        ids.append(sessions.rotate(ids[0]))
        sessions.save(ids[1], {"y": 1})
        for file in path.parent.glob("app.db*"):
            content = file.read_bytes()
            assert not any(id.encode() in content for id in ids)


# -- lifetimes that are over before the clock goes on: now + 1e-9 == now


def test_session_with_a_tiny_lifetime_has_expired(place, clock):
    with Sessions(place, ttl=1e-9, clock=clock) as sessions:
        assert sessions.load(sessions.create(DATA)) is None
        id = sessions.create(DATA, ttl=100)
        assert sessions.touch(id)  # it lives longer anyway
        new = sessions.rotate(id)
        assert sessions.load(new) == DATA
        assert left(sessions, new, clock) == 100
        assert sessions.touch(new, ttl=1e-9)
        assert sessions.load(new) is None


def test_session_without_end_does_not_inherit_a_tiny_lifetime(place, clock):
    with Store(place, ttl=1e-9, trust="own", clock=clock) as s, Sessions(s, ttl=FOREVER) as sessions:
        id = sessions.create(DATA)
        assert left(sessions, id, clock) is None
        assert sessions.load(sessions.rotate(id)) == DATA
