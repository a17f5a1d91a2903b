"""`import KIND` and `export KIND`: what is said, where it goes, and the exit codes."""

import collections
import json
import os
import pty
import shelve
import subprocess
import sys
import time

import pytest
from away import is_absent
from sources import library, make, state_of
from sources_by_hand import SECRET_KEY, session_file

from store import Store

TAGS = {"a": 1, "ü": {"x": (1, 2)}}


@pytest.fixture
def old(tmp_path):
    return make("shelve", tmp_path / "source", TAGS)


def test_import_and_again(run, old, place):
    before = state_of(old.parent)
    assert run("import", "shelve", old, place) == (0, "imported 2\n", "")
    assert run("import", "shelve", old, place) == (0, "imported 0, unchanged 2\n", "")
    assert state_of(old.parent) == before
    with Store(place) as s:
        assert dict(s) == TAGS


def test_import_tells_each_record_that_is_not_there(run, tmp_path, place):
    source = make("shelve", tmp_path / "source", {**TAGS, "it": collections.UserDict(a=1)})
    result = run("import", "shelve", source, place)
    assert (result.code, result.out) == (1, "imported 2, refused 1\n")
    assert result.err.startswith("store: it is refused: loading it takes 'collections.UserDict'")
    assert result.err.count("\n") == 1 and "(--allow collections.UserDict)" in result.err
    assert run("import", "shelve", source, place, "--allow", "collections.UserDict") == (0, "imported 1, unchanged 2\n", "")


def test_import_trust_all(run, tmp_path, place):
    source = make("shelve", tmp_path / "source", {"it": collections.UserDict(a=1)})
    assert run("import", "shelve", source, place, "--trust", "all").out == "imported 1\n"


def test_import_namespace_and_prefix(run, old, place):
    run("import", "shelve", old, place, "--namespace", "web", "--prefix", "old:")
    with Store(place, namespace="web") as s:
        assert set(s) == {"old:a", "old:ü"} and s.namespaces() == ["web"]


def test_import_conflicts(run, old, place):
    with Store(place) as s:
        s["a"] = "mine"
    told = "store: a {} the store has another value under that name, and keeps it\n"
    assert run("import", "shelve", old, place) == (0, "imported 1, kept 1\n", told.format("is kept:"))
    assert run("import", "shelve", old, place, "--on-conflict", "fail") == (
        1, "imported 0, unchanged 1, failed 1\n", told.format("has failed:"),
    )  # fmt: skip
    assert run("import", "shelve", old, place, "--on-conflict", "replace").out == "imported 0, replaced 1, unchanged 1\n"


def test_import_dry_run(run, old, place):
    assert run("import", "shelve", old, place, "--dry-run") == (0, "to be imported 2\n", "")
    assert is_absent(place)
    with Store(place) as s:
        s["a"] = 1
    assert run("import", "shelve", old, place, "--dry-run").out == "to be imported 1, unchanged 1\n"
    with Store(place) as s:
        assert dict(s) == {"a": 1}


def test_import_json(run, old, place):
    with Store(place) as s:
        s["a"] = "mine"
    result = run("import", "shelve", old, place, "--json")
    assert [(one["name"], one["outcome"]) for one in json.loads(result.out)] == [("a", "kept"), ("ü", "imported")]
    assert result.err == ""


def test_import_json_of_nothing(run, tmp_path, place):
    assert run("import", "json", make("json", tmp_path / "source", {}), place, "--json").out == "[]\n"


def test_import_that_breaks_off_ends_the_array(run, tmp_path, place):
    source = tmp_path / "old.json"
    source.write_text('{"a": 1')
    result = run("import", "json", source, place, "--json")
    assert (result.code, json.loads(result.out)) == (1, [])
    assert "is not JSON" in result.err


def test_import_counts_names_that_changed_when_there_are_many(run, tmp_path, place):
    diskcache = pytest.importorskip("diskcache", reason="diskcache is not installed: its keys are not tested here")
    with diskcache.Cache(str(tmp_path / "old")) as cache:
        for number in range(15):
            cache[number] = number
    result = run("import", "diskcache", tmp_path / "old", place)
    assert result.code == 0
    assert "store: 3 is imported: its key was 3\n" in result.err
    assert result.err.count("\n") == 11 and "5 more names were changed" in result.err


def test_source_that_cannot_be_read_makes_no_store(fails, tmp_path, place):
    fails(1, "there is nothing of the kind shelve", "import", "shelve", tmp_path / "nothing", place)
    fails(2, "no such module", "import", "shelve", tmp_path / "nothing", place, "--allow", "no.such.Class")
    assert is_absent(place)


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only(old, place):
    command = [sys.executable, "-m", "store", "import", "shelve", str(old), str(place)]
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
        os.close(theirs)
        shown = os.read(ours, 10_000)
    finally:
        os.close(ours)
    assert done.stdout == b"imported 2\n"
    assert b"2" in shown
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stderr == b""


# -- and out


def test_export_jsonl_to_stdout_and_file(run, stocked, tmp_path, place):
    lines = run("export", "jsonl", stocked, "--prefix", "user:")
    assert (lines.code, lines.err) == (0, "")
    assert [json.loads(line) for line in lines.out.splitlines()] == [
        {"name": "user:2", "value": {"name": "Bob"}}, {"name": "user:1", "value": {"name": "Alice"}},
    ]  # fmt: skip
    assert run("export", "jsonl", stocked, tmp_path / "out.jsonl", "--prefix", "user:") == (0, "exported 2\n", "")
    assert (tmp_path / "out.jsonl").read_text() == lines.out
    assert run("import", "json", tmp_path / "out.jsonl", tmp_path / "copy.db").out == "imported 2\n"


def test_export_tells_what_is_left_out(run, stocked, tmp_path):
    result = run("export", "jsonl", stocked, tmp_path / "out", "--namespace", "settings")
    assert (result.code, result.out) == (1, "exported 0, failed 1\n")
    assert result.err.startswith("store: limits is left out (failed): value: JSON has no tuple")
    assert result.err.endswith("; a shelf and pickles can hold it\n")


@pytest.mark.parametrize("kind", ["shelve", "pickles"])
def test_export_and_import_again(run, stocked, tmp_path, kind):
    assert run("export", kind, stocked, tmp_path / "out", "--namespace", "settings") == (0, "exported 1\n", "")
    assert run("import", kind, tmp_path / "out", tmp_path / "copy.db") == (0, "imported 1\n", "")
    with Store(tmp_path / "copy.db") as s:
        assert dict(s) == {"limits": (-5, 5)}
    if kind == "shelve":
        with shelve.open(str(tmp_path / "out"), "r") as shelf:
            assert dict(shelf) == {"limits": (-5, 5)}


# -- sessions of Django, and caches


@pytest.fixture
def site(tmp_path):
    """Two sessions, of which another key has signed one."""
    (tmp_path / "sessions").mkdir()
    session_file(tmp_path / "sessions", {"user": 1})
    session_file(tmp_path / "sessions", {"user": 2}, "z" * 32, secret=b"of an attacker")
    return tmp_path / "sessions"


def test_import_of_sessions_checks_signatures(run, site, tmp_path, place):
    (tmp_path / "keys").write_bytes(b"an older key\n\n" + SECRET_KEY + b"\n")
    result = run("import", "django-sessions", site, place, "--secret-key-file", tmp_path / "keys")
    assert (result.code, result.out) == (1, "imported 1, failed 1\n")
    assert result.err.startswith(f"store: {'z' * 32} has failed: its signature does not match")
    assert run("import", "django-sessions", site, place).out == "imported 1, unchanged 1\n"


def test_import_of_sessions_with_wrong_options(fails, site, tmp_path, path):
    (tmp_path / "empty").write_bytes(b"\n")
    fails(2, "has no key: write SECRET_KEY on its first line", "import", "django-sessions", site, path, "--secret-key-file", tmp_path / "empty")
    fails(2, "cannot be read: No such file", "import", "django-sessions", site, path, "--secret-key-file", tmp_path / "none")
    fails(2, "go with django-sessions alone", "import", "json", site, path, "--session-age", "1d")
    fails(2, "--table goes with sqlitedict, django-sessions, django-cache alone", "import", "json", site, path, "--table", "t")
    assert not path.exists()


def test_import_of_sessions_with_an_age(run, site, path):
    assert run("import", "django-sessions", site, path, "--session-age", "1h").code == 0
    with Store(path) as s:
        assert all(0 < record.expires.timestamp() - time.time() <= 3600 for record in s.records())


def test_import_notes_tags_that_a_store_does_not_keep(run, tmp_path, path):
    with library("diskcache").Cache(str(tmp_path / "old")) as cache:
        cache.set("a", 1, tag="fruit")
        cache.set("b", 2)
    result = run("import", "diskcache", tmp_path / "old", path)
    assert (result.code, result.out) == (0, "imported 2\n")
    assert result.err == "store: 1 records have tags in the source, which only a cache keeps: import into a cache with --cache\n"
    tags = {one["name"]: one["tag"] for one in json.loads(run("import", "diskcache", tmp_path / "old", path, "--json").out)}
    assert tags == {"a": "fruit", "b": None}
