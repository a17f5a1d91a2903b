"""diskcache: where its values lie, what its keys are, and its database while somebody has it open."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile, library, make, state_of

from store import Store
from store.errors import StorageError
from store.importers import import_into

LARGE = {"text": "ü" * 100_000, "bytes": bytes(100_000), "pickle": list(range(50_000))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A cache whose three values are in files."""
    return make("diskcache", tmp_path / "source", LARGE)


def alter(source: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(source / "cache.db")) as conn:
        for (trigger,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            conn.execute(f"DROP TRIGGER {trigger}")
        conn.execute(statement, values)
        conn.commit()


def run(s: Store[Any], source: Path, **options: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.outcome, one.why) for one in import_into(s, "diskcache", source, **options)}


def test_values_in_files(source: Path, tmp_path: Path, path: Path) -> None:
    assert len(list(source.rglob("*.val"))) == 3
    before = state_of(tmp_path / "source")
    with Store[Any](path) as s:
        run(s, source)
        assert dict(s) == LARGE
        assert run(s, source / "cache.db") == dict.fromkeys(LARGE, ("unchanged", ""))
    assert state_of(tmp_path / "source") == before


@pytest.mark.parametrize("system", ["POSIX", "Windows"])
@pytest.mark.parametrize("how", ["absolute", "up", "inner up", "link", "linked folder", "folder", "pipe", "gone", "empty", "number"])
def test_file_name_never_leads_out_of_the_folder(
    how: str, system: str, source: Path, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "text").write_text("secret")
    names: dict[str, Any] = {
        "absolute": str(secret / "text"), "up": "../../secret/text", "inner up": "x/../../../secret/text", "link": "link",
        "linked folder": "linked/text", "folder": "folder", "pipe": "pipe", "gone": "gone", "empty": "", "number": 7,
    }  # fmt: skip
    (source / "link").symlink_to(secret / "text")
    (source / "linked").symlink_to(secret)
    (source / "folder").mkdir()
    os.mkfifo(source / "pipe")
    alter(source, "UPDATE Cache SET filename = ? WHERE key = 'text'", names[how])
    with Store[Any](path) as s:
        if system == "Windows":
            monkeypatch.setattr(os, "supports_dir_fd", set())
        results = run(s, source, trust="all")
        assert results["text"][0] == "failed"
        assert set(s) == {"bytes", "pickle"}


def test_expiry_comes_over(tmp_path: Path, path: Path) -> None:
    now = time.time()
    with library("diskcache").Cache(str(tmp_path / "old")) as cache:
        cache.set("lives", 1, expire=1000)
        cache.set("gone", 2, expire=10)
        cache.set("stays", 3)
    with Store[Any](path) as s:
        results = run(s, tmp_path / "old", clock=lambda: now + 100)
        assert {name: outcome for name, (outcome, _) in results.items()} == {"lives": "imported", "gone": "expired", "stays": "imported"}
        expires = s.record("lives").expires
        assert expires is not None and 800 < expires.timestamp() - now < 1000
        assert s.record("stays").expires is None


def test_keys_that_are_no_text(tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    with library("diskcache").Cache(str(tmp_path / "old")) as cache:
        for key in (1, 2.5, b"by", b"\xff", ("a", 1), None, frozenset([1]), "1", 2**70):
            cache[key] = "value"
        cache[("a", "b")] = 1
    alter(tmp_path / "old", "UPDATE Cache SET key = ? WHERE value = 1", pickle.dumps(Hostile(marker)))
    with Store[Any](path) as s:
        results = run(s, tmp_path / "old")
        assert set(s) == {"1", "2.5", "by", "\\xff", "('a', 1)", "None", str(2**70)}
        assert results["('a', 1)"] == ("imported", "its key was ('a', 1)")
        outcomes = [one.outcome for one in import_into(s, "diskcache", tmp_path / "old")]
        assert sorted(outcomes) == ["failed", "failed", "refused", *["unchanged"] * 7]  # "1" after 1, the frozenset, the trap
    assert not marker.exists()


def test_key_pickle_that_is_hostile_runs_with_trust_alone(tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    with library("diskcache").Cache(str(tmp_path / "old")) as cache:
        cache[("a",)] = 1
    alter(tmp_path / "old", "UPDATE Cache SET key = ?", pickle.dumps(Hostile(marker)))
    with Store[Any](path) as s:
        run(s, tmp_path / "old", trust="all")
    assert marker.exists()


def test_shards_of_a_fanout_cache(tmp_path: Path, path: Path) -> None:
    with library("diskcache").FanoutCache(str(tmp_path / "old"), shards=3) as cache:
        for number in range(20):
            cache[f"n{number}"] = number
    with Store[Any](path) as s:
        run(s, tmp_path / "old")
        assert sorted(s.items()) == sorted((f"n{number}", number) for number in range(20))


def test_json_disk(tmp_path: Path, path: Path) -> None:
    diskcache = library("diskcache")
    with diskcache.Cache(str(tmp_path / "old"), disk=diskcache.JSONDisk) as cache:
        cache["a"] = [1]
        cache["large"] = list(range(200_000))
        cache[("a", 1)] = cache["altered"] = 1
    alter(tmp_path / "old", "UPDATE Cache SET value = ? WHERE rowid = 4", b"x")
    with Store[Any](path) as s:
        results = run(s, tmp_path / "old")
        assert dict(s) == {"a": [1], "large": list(range(200_000))}
        assert sorted(outcome for outcome, _ in results.values()) == ["failed", "failed", "imported", "imported"]


def test_cache_that_this_program_has_open_is_refused(tmp_path: Path, path: Path) -> None:
    """Reading its files would drop the locks that SQLite holds for it."""
    with library("diskcache").Cache(str(tmp_path / "old")) as cache, Store[Any](path) as s:
        cache["a"] = 1
        with pytest.raises(StorageError, match=r"has .*cache\.db open itself"):
            import_into(s, "diskcache", tmp_path / "old")


OPEN = """
import diskcache, sys
cache = diskcache.Cache(sys.argv[1])
cache["in the log"] = 1
print("ready", flush=True)
sys.stdin.readline()
"""


def test_cache_that_another_process_has_open(tmp_path: Path, path: Path) -> None:
    library("diskcache")
    command = [sys.executable, "-c", OPEN, str(tmp_path / "old")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            assert (tmp_path / "old" / "cache.db-wal").stat().st_size > 0
            before = state_of(tmp_path / "old")
            with Store[Any](path) as s:
                assert run(s, tmp_path / "old") == {"in the log": ("imported", "")}
            assert state_of(tmp_path / "old") == before
            child.communicate("go\n", timeout=60)
        finally:
            child.kill()
    assert child.returncode == 0


def test_log_that_a_killed_process_left(tmp_path: Path, path: Path) -> None:
    library("diskcache")
    command = [sys.executable, "-c", OPEN, str(tmp_path / "old")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.communicate(timeout=60)
    before = state_of(tmp_path / "old")
    assert "cache.db-wal" in before
    with Store[Any](path) as s:
        assert run(s, tmp_path / "old") == {"in the log": ("imported", "")}
    assert state_of(tmp_path / "old") == before


def test_tags_come_along(tmp_path: Path, path: Path) -> None:
    with library("diskcache").Cache(str(tmp_path / "old")) as cache:
        for name, tag in {"text": "fruit", "none": None, "number": 7, "bytes": b"by"}.items():
            cache.set(name, name, tag=tag)
        cache.set("file", "x" * 100_000, tag="fruit")
    with Store[Any](path) as s:
        tags = {one.name: one.tag for one in import_into(s, "diskcache", tmp_path / "old")}
        assert tags == {"text": "fruit", "none": None, "number": "7", "bytes": "by", "file": "fruit"}
        assert len(s) == 5
