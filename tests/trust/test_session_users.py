"""`Sessions.by` against guests, thieves of the file, other keys, and keys that come and go."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.sessions import Sessions
from store.sessions.ids import name_of, tag_of
from store.trust.keys.changing import add_key, retire_key
from store.trust.keys.file import read_key_file

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


@pytest.fixture
def sessions(place) -> Iterator[Sessions]:
    with Sessions(place, ttl=100) as opened:
        yield opened


# -- visitors


def test_tag_of_another_user_opens_nothing(sessions):
    """A visitor who knows ids of two users, or only the tag of one, makes no third out of them."""
    ann, eve = (sessions.create({"of": user}, user=user) for user in ("ann", "eve"))
    (mine, mine_tag), (_, her_tag) = eve.split("."), ann.split(".")
    plain = sessions.create({"of": "nobody"})
    forged = [
        f"{mine}.{her_tag}", mine, f"{plain}.{mine_tag}", f"{plain}.{her_tag}", f"{mine}..{mine_tag}", her_tag, f"{eve}0",
        f".{her_tag}", f"{mine}.{mine_tag.upper()}", f"{mine}.{'0' * 48}", f"{mine}.{mine_tag[:-1]}", f"{'x' * 43}.{her_tag}",
        f"{mine_tag}.{mine}", f"{mine}.{mine_tag}\n",
    ]  # fmt: skip
    for id in forged:
        assert sessions.load(id) is sessions.rotate(id) is sessions.rotate(id, user="ann") is sessions.record(id) is None
        assert sessions.delete(id) is sessions.save(id, {}) is sessions.touch(id) is False
    assert [len(sessions.by(user)) for user in ("ann", "eve")] == [1, 1]
    assert [sessions.load(id) for id in (ann, eve, plain)] == [{"of": "ann"}, {"of": "eve"}, {"of": "nobody"}]
    assert sessions.rejected == 0


def test_name_of_a_record_is_no_id(sessions):
    sessions.create({}, user="ann")
    (record,) = sessions.by("ann")
    tag, hashed = record.name.split(".")
    for stolen in (record.name, hashed, f"{hashed[:43]}.{tag}", f"{tag}.{hashed}"[:92]):
        assert sessions.load(stolen) is None


def test_id_that_was_slipped_before_the_login_is_dead_after_it(sessions):
    slipped = sessions.create({"cart": []})  # eve gives her own id to ann's browser
    mine = sessions.rotate(slipped, user="ann")
    assert sessions.load(slipped) is None and sessions.load(mine) == {"cart": []}
    assert sessions.by("ann").end() == 1
    assert sessions.load(mine) is sessions.rotate(slipped, user="ann") is None


def test_id_with_a_huge_tail_is_not_hashed(sessions, monkeypatch):
    from store.sessions import ids

    lengths = []
    monkeypatch.setattr(ids, "blake2b", lambda text, **rest: lengths.append(len(text)) or blake2b(text, **rest))
    for id in ("x" * 43 + "." + "a" * 10_000_000, "a3-x_9" * 1_000_000, "x" * 43 + "." + "0" * 48):
        assert sessions.load(id) is None
    assert lengths == [43, 43, 92]


# -- a thief of the file


def test_file_tells_no_user(path: Path):
    with Sessions(path) as sessions:
        sessions.create({}, user="alice.liddell")
        sessions.rotate(sessions.create({}), user="alice.liddell")
        names = [record.name for record in sessions.records()]
    written = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    assert b"liddell" not in written
    assert len({name[:48] for name in names}) == 1
    for person in (b"", b"store.users.v1", b"store.sessions"):  # the hash needs the key
        assert blake2b(b"alice.liddell", digest_size=16, person=person).hexdigest() not in names[0]


def test_same_user_has_another_tag_by_another_key(place, another):
    tags = []
    for where, key in ((place, OLD), (another, NEW)):
        with Sessions(where, key=key) as sessions:
            tags.append(tag_of(sessions.create({}, user="ann")))
    assert tags[0][16:] != tags[1][16:]


# -- keys


def test_sessions_by_an_older_key_are_found(place):
    with Sessions(place, key=OLD) as sessions:
        old = sessions.create({"key": "old"}, user="ann")
    with Sessions(place, key=[NEW, OLD]) as sessions:
        new = sessions.create({"key": "new"}, user="ann")
        assert tag_of(old) != tag_of(new)
        assert len(sessions.by("ann")) == 2
        old = sessions.rotate(old)
        assert sessions.by("ann").end(but=old) == 1
        assert sessions.by("ann").end() == 1


def test_key_that_another_program_has_added_just_now_is_used_to_find(place, own_key):
    """A program that only reads does not look at its key file; the sessions of the new key would be missed."""
    with Sessions(place) as ends:
        ends.create({}, user="bob")
        assert len(ends.by("ann")) == 0
        made = add_key(own_key)
        with Sessions(place) as creates:
            id = creates.create({}, user="ann")
            assert tag_of(id)[:16] == made.id.hex()
            assert ends.by("ann").end() == 1
            assert creates.load(id) is None


def test_retired_key_still_finds_its_sessions(place, own_key):
    with Sessions(place) as sessions:
        sessions.create({}, user="ann")
        old = read_key_file(str(own_key))[0].id
        add_key(own_key)
        retire_key(own_key, old)
        sessions.create({}, user="ann")
        assert sessions.by("ann").end() == 2


@pytest.mark.damaged
def test_session_whose_key_was_dropped_is_none_although_it_was_sealed_anew(place):
    """`by` cannot find it any more, so nobody may go on using it."""
    with Sessions(place, key=OLD) as sessions:
        id, plain = sessions.create({}, user="ann"), sessions.create({})
    with Store(place, namespace="sessions", key=[NEW, OLD]) as s:
        assert s.rekey().resealed == 2
        with Sessions(place, key=[NEW, OLD]) as sessions:
            assert sessions.load(id) == {} and len(sessions.by("ann")) == 1
    with Sessions(place, key=NEW) as sessions:
        assert len(sessions.by("ann")) == 0
        assert sessions.load(id) is sessions.rotate(id) is sessions.record(id) is None
        assert sessions.save(id, {}) is sessions.touch(id) is sessions.delete(id) is False
        assert sessions.load(plain) == {}


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key this program does not hold")
def test_record_that_somebody_planted_under_a_tag_is_no_session(place):
    """Who can write the file and has no key lists a session more, and opens none."""
    with Sessions(place, key=OLD) as sessions:
        tag = tag_of(sessions.create({"of": "ann"}, user="ann"))
        chosen = f"{'x' * 43}.{tag}"
        with Store(place, namespace="sessions", key=NEW) as foreign:
            foreign[name_of(chosen)] = {"of": "eve"}
        with pytest.warns(UserWarning, match="not sealed with a key of yours"):
            assert sessions.load(chosen) is None
        assert len(sessions.by("ann")) == 2
        assert sessions.by("ann").end() == 2  # and it goes with the others
        assert len(sessions) == 0


def test_program_without_a_key_finds_its_own(place, monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/dev/null")
    found: list[Any] = []
    with Store(place, trust="data") as s, Sessions(s) as sessions:
        id = sessions.create({}, user="ann")
        found += [tag_of(id)[:16], len(sessions.by("ann")), sessions.load(id), sessions.by("ann").end(), sessions.load(id)]
    assert found == ["0" * 16, 1, {}, 1, None]


# -- very many


@pytest.mark.slow
def test_ten_thousand_sessions_of_one_user_end_in_one_step(path: Path):
    with Store(path, trust="own", namespace="sessions") as s, Sessions(s) as sessions:
        tag = tag_of(sessions.create({}, user="ann"))
        other = sessions.create({}, user="bob")
        ids = [f"{secrets.token_urlsafe(32)}.{tag}" for _ in range(9_999)]
        s.update({name_of(id): {} for id in ids})
        assert len(sessions.by("ann")) == 10_000
        assert sessions.by("ann").end(but=ids[77]) == 9_999
        assert (sessions.load(ids[77]), sessions.load(other), len(sessions)) == ({}, {}, 2)
