"""The command that the error of an old folder names: it is followed, and the program goes on with its records."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from diskcaches import THEIRS, load
from sources import Hostile, state_of

from store.compat import diskcache as dc
from store.compat.diskcache.importing import CacheForm
from store.errors import NotAStore
from store.importers import import_into

ITEMS = {
    "text": "value", "": 1, 7: [1, 2], 7.5: None, b"bytes": b"small", -(2**63): {"a": 1}, 2**70: True, None: "none",
    (1, "a", None): (1, 2), ("f", 3, None, "k", 2.5): 9, "\x01odd\0": 2, "large": b"x" * 100_000, "long": "y" * 100_000,
    True: ("store.compat.diskcache", "value", None, 3),
}  # fmt: skip


def followed(error: NotAStore) -> subprocess.CompletedProcess[str]:
    """Runs the command of a message."""
    program, *words = shlex.split(str(error).split("`")[1])
    assert program == "store"
    return subprocess.run([sys.executable, "-m", "store", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", ["Cache", pytest.param("FanoutCache", marks=pytest.mark.heavy)])
@pytest.mark.slow
def test_command_of_the_error_brings_everything(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "old pages"
    soon = time.time() + 3600
    with getattr(load(THEIRS), kind)(folder) as old:
        for key, value in ITEMS.items():
            old.set(key, value, tag=key if key in ("text", 7, 7.5, b"bytes") else None, retry=True)
        old.set("soon", 1, expire=3600, tag="t", retry=True)
        old.set("gone", 1, expire=1e-9, retry=True)
    before = {name: state for name, state in state_of(folder).items() if name != "."}
    with pytest.raises(NotAStore) as raised:
        getattr(dc, kind)(folder)
    done = followed(raised.value)
    assert done.returncode == 0 and done.stdout == f"imported {len(ITEMS) + 1}, expired 1\n", done.stderr
    assert followed(raised.value).stdout == f"imported 0, unchanged {len(ITEMS) + 1}, expired 1\n"
    after = state_of(folder)
    assert {name: after[name] for name in before} == before
    with getattr(dc, kind)(folder) as cache:
        assert {repr(key) for key in cache} == {*map(repr, ITEMS), "'soon'"}
        for key, value in ITEMS.items():
            assert cache[key] == value and type(cache[key]) is type(value)
        with cache.read("large") as handle:
            assert handle.read() == ITEMS["large"]
        value, expires, tag = cache.get("soon", expire_time=True, tag=True)
        assert (value, tag) == (1, "t") and abs(expires - soon) < 60
        assert cache.get(7, tag=True) == ([1, 2], 7) and cache.get(b"bytes", tag=True) == (b"small", b"bytes")
        assert cache.evict(7.5) == 1 and cache.evict("t") == 1


def test_queue_goes_on_after_an_import(tmp_path: Path) -> None:
    with load(THEIRS).Cache(tmp_path / "old") as old:
        for value in "abc":
            old.push(value, prefix="jobs")
            old.push(value.upper())
    with dc.Cache(tmp_path / "new") as cache:
        list(import_into(cache.opened.records, "diskcache", tmp_path / "old", form=CacheForm()))
        assert cache.pull("jobs") == ("jobs-500000000000000", "a") and cache.push("d", "jobs") == "jobs-500000000000003"
        assert cache.pull(side="back") == (500000000000002, "C")
        assert list(cache.iterkeys())[:2] == [500000000000000, 500000000000001]


@pytest.mark.slow
def test_hostile_records_are_refused_and_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "code has run"
    folder = tmp_path / "old"
    with load(THEIRS).Cache(folder) as old:
        old["good"], old["small"], old["large"] = 1, Hostile(marker), [Hostile(marker), "x" * 100_000]
        old[Hostile(marker)] = 1
    with pytest.raises(NotAStore) as raised:
        dc.Cache(folder)
    done = followed(raised.value)
    assert done.returncode == 1 and done.stdout == "imported 1, refused 3\n" and not marker.exists()
    with dc.Cache(folder) as cache:
        assert list(cache) == ["good"] and not marker.exists()


def test_large_strings_and_classes_of_keys(tmp_path: Path) -> None:
    with load(THEIRS).Cache(tmp_path / "old") as old:
        old[range(3), "a"] = "by a class"
    with dc.Cache(tmp_path / "new") as cache:
        results: list[Any] = list(import_into(cache.opened.records, "diskcache", tmp_path / "old", form=CacheForm()))
        assert [result.outcome for result in results] == ["imported"]
        assert cache[range(3), "a"] == "by a class" and list(cache) == [(range(3), "a")]
