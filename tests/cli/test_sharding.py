"""`reshard`, and the commands about sessions and caches that are spread over shards."""

import json
import secrets

from sources_by_hand import SECRET_KEY, SESSIONS, database

from store import Store
from store.cache import Cache
from store.importers import import_into
from store.sessions import Sessions
from store.sessions.importing import SessionForm


def test_reshard_moves_the_sessions(run, place):
    with Sessions(place) as sessions:
        ids = [sessions.create({"n": n}, user="ann") for n in range(3)]
    assert run("reshard", place, "sessions", 3).out == "moved 3\n"
    with Sessions(place, shards=3) as sessions:
        assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(3)]
    assert run("reshard", place, "sessions", 1).out == "moved 3\n"
    assert run("reshard", place, "sessions", 1).out == "moved 0\n"
    with Sessions(place) as sessions:
        assert len(sessions.by("ann")) == 3


def test_reshard_of_a_namespace_of_a_name_of_ones_own_takes_its_kind(run, fails, place):
    with Cache(place, namespace="pages", max_bytes=None) as cache:
        cache.set("a", 1, tag="t")
    fails(2, "one of sessions, cache, memo", "reshard", place, "pages", 2)
    fails(2, "1<=x<=1024", "reshard", place, "pages", 0)
    assert run("reshard", place, "pages", 2, "--kind", "cache").out == "moved 3\n"  # with its note, and its place
    with Cache(place, namespace="pages", max_bytes=None, shards=2) as cache:
        assert (cache["a"], cache.tag_of("a")) == (1, "t")


def test_reshard_of_the_wrong_kind_says_which_it_is(run, fails, place):
    with Sessions(place, shards=2) as sessions:
        sessions.create({})
    fails(1, "of sessions, not of memo", "reshard", place, "sessions", 4, "--kind", "memo")


def test_sessions_in_shards_are_counted_listed_and_ended(run, place):
    with Sessions(place, shards=4) as sessions:
        ids = [sessions.create({}, user=user) for user in ["ann", "ann", "bob", None, None]]
    assert run("sessions", "count", place).out == "5\n"
    assert run("sessions", "count", place, "--user", "ann").out == "2\n"
    hashes = [line.split()[0] for line in run("sessions", "ls", place).out.splitlines()[1:]]
    assert len(hashes) == 5
    assert run("sessions", "rm", place, hashes[0]).code == 0
    assert run("sessions", "rm", place, "--user", "ann").out.startswith("ended ")
    assert run("sessions", "clear", place).out == "cleared 0\n"
    with Sessions(place, shards=4) as sessions:
        assert len(sessions) == sum(sessions.load(id) is not None for id in ids) <= 3


def test_cache_in_shards_is_shown_and_cleared(run, fails, place):
    with Cache(place, shards=4) as cache:
        for number in range(20):
            cache.set(f"n{number}", number, tag="t" if number < 5 else None)
    assert "records     20" in run("cache", "stats", place).out
    assert run("cache", "evict", place, "t").out == "deleted 5\n"
    fails(2, "from 4 up", "cache", "cull", place, "--max-records", 3)
    assert run("cache", "cull", place, "--max-records", 8).out == "deleted 7\n"
    assert run("cache", "clear", place).out == "deleted 8\n"


def test_namespaces_of_shards_are_listed_as_they_are(run, place):
    with Sessions(place, shards=2) as sessions:
        for _ in range(20):
            sessions.create({})
    with Store(place) as s:
        assert s.namespaces() == ["#shards", "sessions[2.0]", "sessions[2.1]"]
    assert "sessions[2.1]" in run("namespaces", place).out


def test_import_into_a_cache_finds_its_shards(run, place, tmp_path):
    source = tmp_path / "all.json"
    source.write_text(json.dumps({f"n{number}": number for number in range(9)}))
    Cache(place, namespace="pages", max_bytes=None, shards=2).close()
    for _ in range(2):
        assert run("import", "json", source, place, "--cache", "--namespace", "pages").code == 0
    with Cache(place, namespace="pages", max_bytes=None, shards=2) as cache:
        assert sorted(cache.items()) == [(f"n{number}", number) for number in range(9)]


def test_import_into_sessions_finds_their_shards(run, place, tmp_path):
    database(tmp_path / "db.sqlite3", [("django_session", SESSIONS, [])])
    (tmp_path / "key.txt").write_bytes(SECRET_KEY)
    Sessions(place, shards=3).close()
    done = run("import", "django-sessions", tmp_path / "db.sqlite3", place, "--sessions", "--secret-key-file", tmp_path / "key.txt")
    assert done.code == 0, done


def test_records_that_are_imported_go_to_their_shards(place, tmp_path):
    ids = [secrets.token_urlsafe(32) for _ in range(9)]
    source = tmp_path / "all.json"
    source.write_text(json.dumps({id: {"n": number} for number, id in enumerate(ids)}))
    with Sessions(place, shards=3) as sessions:
        for outcome in ("imported", "unchanged"):
            done = list(import_into(sessions.store, "json", source, form=SessionForm()))
            assert [one.outcome for one in done] == [outcome] * 9
        assert [sessions.load(id) for id in ids] == [{"n": number} for number in range(9)]
