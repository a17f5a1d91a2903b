"""`Sessions.by`: the sessions of one user, listed and ended; and ids that the program brings."""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from store import Store
from store.errors import Conflict, ReadOnly
from store.sessions import FOREVER, Sessions

# Names that one could take for another, or for a pattern.
NAMES = ["ann", "Ann", "an", "anna", " ann", "ann ", "ann\0", "ann.", "a%", "%", "*", "_", "42", "å", "a\u030a", "\ud800", "n" * 10_000]


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def sessions(request, place, clock) -> Iterator[Sessions]:
    with Sessions(place, ttl=100, clock=clock, shards=request.param) as opened:
        yield opened


def data_of(sessions: Sessions, user: str) -> list[Any]:
    by = sessions.by(user)
    return sorted((by.load(record) for record in by), key=repr)


def test_sessions_of_a_user_are_those_made_with_the_name(sessions):
    for number, user in enumerate(["ann", "bob", None, "ann"]):
        sessions.create({"number": number}, user=user)
    assert data_of(sessions, "ann") == [{"number": 0}, {"number": 3}]
    assert data_of(sessions, "bob") == [{"number": 1}]
    assert data_of(sessions, "cid") == []
    assert (len(sessions.by("ann")), bool(sessions.by("ann"))) == (2, True)
    assert (len(sessions.by("cid")), bool(sessions.by("cid"))) == (0, False)


def test_end_ends_those_of_one_user_alone(sessions):
    ann = [sessions.create({}, user="ann") for _ in range(3)]
    others = [sessions.create({}, user="bob"), sessions.create({})]
    assert sessions.by("ann").end() == 3
    assert sessions.by("ann").end() == 0
    assert [sessions.load(id) for id in ann + others] == [None, None, None, {}, {}]
    for id in ann:
        assert sessions.save(id, {}) is sessions.touch(id) is sessions.delete(id) is False
        assert sessions.rotate(id) is sessions.rotate(id, user="ann") is None


def test_end_keeps_the_session_that_asks(sessions):
    ids = [sessions.create({}, user="ann") for _ in range(3)]
    assert sessions.by("ann").end(but=ids[1]) == 2
    assert [sessions.load(id) for id in ids] == [None, {}, None]
    assert sessions.by("ann").end(but=ids[1]) == 0


@pytest.mark.parametrize("but", ["bob", "nobody", "forged", None])
def test_end_but_for_an_id_that_is_not_of_the_user_keeps_none(sessions, but):
    ids = {"bob": sessions.create({}, user="bob"), "nobody": sessions.create({}), "forged": "x" * 43}
    sessions.create({}, user="ann")
    assert sessions.by("ann").end(but=ids.get(but)) == 1
    assert (len(sessions.by("ann")), len(sessions)) == (0, 2)


def test_user_stays_through_every_change(sessions, clock):
    id = sessions.create({"n": 0}, user="ann")
    assert sessions.save(id, {"n": 1}) and sessions.touch(id, ttl=500)
    with sessions.edit(id) as data:
        data["n"] += 1
    id = sessions.rotate(id)
    id = sessions.rotate(id, ttl=200)
    clock.advance(199)
    assert data_of(sessions, "ann") == [{"n": 2}]
    assert sessions.delete(id) is True
    assert len(sessions.by("ann")) == 0


def test_rotate_names_another_user_or_none(sessions):
    id = sessions.rotate(sessions.create({}), user="ann")  # a login
    assert len(sessions.by("ann")) == 1
    id = sessions.rotate(id, user="bob")
    assert (len(sessions.by("ann")), len(sessions.by("bob"))) == (0, 1)
    id = sessions.rotate(id, user=None)  # a logout that keeps the cart
    assert (len(sessions.by("bob")), sessions.load(id), len(id)) == (0, {}, 43)


def test_expired_sessions_are_of_nobody(sessions, clock):
    sessions.create({}, user="ann", ttl=10)
    last = sessions.create({}, user="ann", ttl=FOREVER)
    clock.advance(11)
    assert len(sessions.by("ann")) == len(sessions.by("ann").records()) == 1
    assert (sessions.clear_expired(), sessions.by("ann").end()) == (1, 1)
    assert sessions.load(last) is None


def test_records_say_when_each_was_made_and_seen_the_oldest_first(sessions, clock):
    begun = clock.now
    old = sessions.create({}, user="ann")
    for _ in range(5):
        clock.advance(5)
        sessions.create({}, user="ann")
    clock.advance(5)
    sessions.touch(old)
    times = [(r.created.timestamp() - begun, r.modified.timestamp() - begun) for r in sessions.by("ann")]
    assert times == [(0, 30), (5, 5), (10, 10), (15, 15), (20, 20), (25, 25)]
    assert sessions.by("ann").records()[0] == sessions.record(old)


def test_listing_and_ending_decode_nothing(place):
    class Codec:
        name = "counted"

        def encode(self, value: Any) -> bytes:
            return b"x"

        def decode(self, body: bytes) -> Any:
            raise AssertionError("it was decoded")

    with Sessions(place, codec=Codec()) as sessions:
        sessions.create({}, user="ann")
        by = sessions.by("ann")
        assert (len(by), len(by.records()), by.end()) == (1, 1, 1)


def test_one_record_is_loaded_and_deleted_only_by_its_own_user(sessions):
    kept = sessions.create({"of": "ann"}, user="ann")
    (record,) = sessions.by("ann")
    bob = sessions.by("bob")
    assert (bob.load(record), bob.delete(record)) == (None, False)
    nobody = sessions.record(sessions.create({}))
    assert (bob.load(nobody), bob.delete(nobody)) == (None, False)
    ann = sessions.by("ann")
    assert ann.load(record) == {"of": "ann"} == sessions.load(kept)
    assert (ann.delete(record), ann.delete(record), ann.load(record)) == (True, False, None)


def test_names_that_look_alike_are_others(sessions):
    for user in NAMES:
        sessions.create({"user": len(user)}, user=user)
    for user in NAMES:
        assert data_of(sessions, user) == [{"user": len(user)}]
    assert [sessions.by(user).end() for user in NAMES] == [1] * len(NAMES)


@pytest.mark.parametrize("wrong", [7, b"ann", None, ["ann"], True], ids=repr)
def test_name_that_is_no_text_is_refused(sessions, wrong):
    with pytest.raises(TypeError, match="user is text"):
        sessions.by(wrong)
    id = sessions.create({})
    if wrong is not None:
        with pytest.raises(TypeError, match="user is text"):
            sessions.create({}, user=wrong)
        with pytest.raises(TypeError, match="user is text"):
            sessions.rotate(id, user=wrong)
    assert (sessions.load(id), len(sessions)) == ({}, 1)


def test_empty_name_is_refused(sessions):
    for call in (lambda: sessions.by(""), lambda: sessions.create({}, user=""), lambda: sessions.rotate(None, user="")):
        with pytest.raises(ValueError, match="user is empty"):
            call()


def test_end_is_undone_with_the_transaction_around_it(place):
    with Store(place, trust="own") as s, Sessions(s) as sessions:
        id = sessions.create({}, user="ann")
        with pytest.raises(ZeroDivisionError), s.transaction():
            assert sessions.by("ann").end() == 1
            raise ZeroDivisionError
        assert (sessions.load(id), len(sessions.by("ann"))) == ({}, 1)


def test_end_of_a_user_without_sessions_waits_for_no_writer(place):
    with Store(place) as busy, Sessions(place, timeout=0) as sessions, ThreadPoolExecutor(1) as pool:
        with busy.transaction():
            assert pool.submit(sessions.by("ann").end).result(60) == 0


def test_sessions_of_a_user_are_found_by_other_openings(place):
    with Sessions(place, namespace="web") as one, Sessions(place, namespace="web") as other:
        id = one.create({}, user="ann")
        with pickle.loads(pickle.dumps(other)) as again:
            assert len(again.by("ann")) == len(other.by("ann")) == 1
            assert again.by("ann").end() == 1
        assert one.load(id) is None
    with Sessions(place, namespace="admin") as elsewhere:
        assert len(elsewhere.by("ann")) == 0


def test_read_only_lists_and_refuses_to_end(place):
    with Sessions(place) as sessions:
        id = sessions.create({"a": 1}, user="ann")
    with Sessions(place, mode="r") as sessions:
        (record,) = sessions.by("ann")
        assert (sessions.by("ann").load(record), sessions.by("bob").end()) == ({"a": 1}, 0)
        for end in (sessions.by("ann").end, lambda: sessions.by("ann").delete(record)):
            with pytest.raises(ReadOnly):
                end()
        assert sessions.load(id) == {"a": 1}


def test_repr_shows_no_name(sessions):
    assert "ann" not in repr(sessions.by("ann")).replace(sessions.location, "")


def test_name_of_the_record_of_a_user_is_as_it_ever_was(place):
    """On disk: with another hash, `end` would miss the sessions that there are."""
    from store.sessions.ids import UserTags, name_of
    from store.trust.keys.ring import Keyring

    key = bytes.fromhex("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    tag = "8afe5b9033e1bb572ce3df148734f6ad3d395ab78b56066f"
    hashed = "a07523cbf9b851b0af52e4a543fd9c15dd689c455a3b2da924292fb937996001"
    _, prefix = UserTags(Keyring(key)).prefixes("ann")
    assert (prefix, name_of(f"{'A' * 43}.{tag}")) == (f"{tag}.", f"{tag}.{hashed}")


# -- ids of the program


def test_id_of_the_program_is_used(sessions, clock):
    id = secrets.token_hex(16)
    assert sessions.create({"a": 1}, id=id) is id
    assert (sessions.load(id), len(sessions)) == ({"a": 1}, 1)
    assert sessions.save(id, {"a": 2}) and sessions.touch(id)
    new = sessions.rotate(id, user="ann")
    assert (len(new) > 43, sessions.load(id), sessions.load(new)) == (True, None, {"a": 2})
    assert sessions.create({}, id=id) == id  # it is free again
    clock.advance(101)
    assert sessions.create({}, id=id) == id  # and so is that of one that expired


@pytest.mark.parametrize("id", ["a3" * 8 + "0b-_" * 4, "a3-x_9Tz" * 16, "6f1d2c3e-9b4a-4c7d-8e21-0a5b6c7d8e9f"])
def test_id_of_any_length_that_cannot_be_guessed_is_taken(sessions, id):
    assert sessions.create({"a": 1}, id=id) == id
    assert sessions.load(id) == {"a": 1}
    assert sessions.load(id[:-1]) is sessions.load(id + "a") is None


def test_id_of_a_session_that_is_there_is_a_conflict(sessions):
    id = sessions.create({"of": "ann"})
    with pytest.raises(Conflict) as caught:
        sessions.create({"of": "eve"}, id=id)
    assert id not in str(caught.value) + repr(caught.value)
    assert sessions.load(id) == {"of": "ann"}


@pytest.mark.parametrize(
    "id",
    ["", "1", "ann", "a3-x" * 7, "x" * 32, "0" * 31 + "7", "ab" * 16, "a3-x_" * 26, "é3-x_" * 8, "a3-x_ " * 8,
     "a3-x_." * 8, "a3-x_\n" * 8, "\ud8003-x_" * 8],
    ids=ascii,
)  # fmt: skip
def test_id_that_could_be_guessed_or_is_no_id_is_refused(sessions, id):
    with pytest.raises(ValueError, match=r"secrets\.token_urlsafe") as caught:
        sessions.create({}, id=id)
    assert len(id) < 3 or id not in str(caught.value)
    assert len(sessions) == 0 and sessions.load(id) is None


def test_id_that_is_no_text_is_refused_without_being_shown(sessions):
    with pytest.raises(TypeError, match="an id is text, not bytes"):
        sessions.create({}, id=b"a3-x_" * 8)


def test_id_of_the_program_has_no_place_for_a_user(sessions):
    with pytest.raises(TypeError, match="rotate"):
        sessions.create({}, id=secrets.token_hex(16), user="ann")
    with pytest.raises(ValueError, match="32 to 128"):
        sessions.create({}, id=sessions.create({}, user="ann"))  # one that has a user
    assert len(sessions) == 1


@pytest.mark.slow
def test_more_sessions_than_one_step_of_a_server_takes_are_ended(place):
    with Sessions(place) as sessions:
        ids = [sessions.create({}, user="ann") for _ in range(950)]
        assert sessions.by("ann").end(but=ids[3]) == 949
        assert sessions.load(ids[3]) == {} and sessions.load(ids[4]) is None
