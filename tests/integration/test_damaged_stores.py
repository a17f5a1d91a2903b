"""Stores that a crash of something else, or a copy that broke off, left incomplete."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import Corrupt, NotAStore, StorageError, StoreError, Tampered


@pytest.mark.parametrize("table", ["identity", "records", "sealers"])
@pytest.mark.damaged
def test_store_that_lacks_a_table(path: Path, table: str) -> None:
    with Store(path) as s:
        s["x"] = 1
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"DROP TABLE {table}")
    with pytest.raises(StoreError), Store(path) as s:
        s["x"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of 90 pages, as a file that no test changes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("STORE_KEY", "5a" * 32)
        file = tmp_path_factory.mktemp("sound") / "app.db"
        with Store(file) as s:
            s.update({f"name {n}": {"n": n, "text": "x" * 900} for n in range(300)})
        yield file


# Fractions of the file, and bytes from its beginning or its end.
CUTS = [0.0, 1, 15, 16, 17, 99, 100, 101, 511, 512, 4095, 4096, 4097, 8192, 0.3, 0.5, 0.9, -4096, -2048, -100, -1]


@pytest.mark.parametrize("mode", ["r", "w", "c"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.damaged
def test_truncated_store(sound: Path, tmp_path: Path, cut: float, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a raw error of SQLite, and never a value that was not stored."""
    monkeypatch.setenv("STORE_KEY", "5a" * 32)
    whole = sound.stat().st_size
    left = int(cut * whole) if isinstance(cut, float) else cut % whole
    path = tmp_path / "cut.db"
    shutil.copy(sound, path)
    os.truncate(path, left)
    failures = []

    def attempt(call: Any) -> Any:
        try:
            return call()
        except (Corrupt, StorageError, Tampered) as exc:
            failures.append(exc)
            return None

    try:
        s: Store[Any] = Store(path, mode=mode)
    except (NotAStore, Corrupt, StorageError) as exc:
        assert str(path) in str(exc)
        assert left == 0 or path.stat().st_size == left
        return
    with s:
        if left == 0:  # an empty file is a store that is yet to be made; mode "r" makes none
            assert mode in "wc" and dict(s) == {}
            return
        assert left > whole - 4096, "only the end of the last page can be missing unnoticed"
        for n in range(300):
            found = attempt(lambda n=n: s.get(f"name {n}"))
            assert found in (None, {"n": n, "text": "x" * 900})
        pairs = attempt(lambda: list(s.items()))
        assert pairs is None or all(value == {"n": int(name[5:]), "text": "x" * 900} for name, value in pairs)
        attempt(lambda: len(s))
        attempt(s.stats)
        if mode != "r":
            attempt(lambda: s.put("name 0", "new"))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.damaged
def test_store_with_damaged_bytes(sound: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere in the file, the tables' own pages and the schema included: our errors, and no wrong value."""
    monkeypatch.setenv("STORE_KEY", "5a" * 32)
    chance = random.Random(seed)
    path = tmp_path / "damaged.db"
    content = bytearray(sound.read_bytes())
    first = 0 if seed % 4 else 100  # in three of four the header of the database may be hit too
    end = len(content) if seed % 2 else 40_000  # schema, indexes and the first records, or everywhere
    for _ in range(chance.choice([1, 10, 100, 1000])):
        content[chance.randrange(first, end)] = chance.randrange(256)
    path.write_bytes(content)
    try:
        s: Store[Any] = Store(path)
    except StoreError:
        return
    with s:
        reads: list[Any] = [lambda n=n: {f"name {n}": s.get(f"name {n}")} for n in range(0, 300, 7)]
        reads += [lambda: dict(s), lambda: dict(reversed(s.items())), lambda: s.get_many(["name 1", "name 2"])]
        for read in reads:
            try:
                found = read()
            except (StoreError, KeyError):  # `dict(s)` looks up the names, and a damaged index finds none
                continue
            for name, value in found.items():
                assert value in (None, {"n": int(name[5:]), "text": "x" * 900})
        others = [s.stats, s.namespaces, s.names, s.purge, s.__len__, lambda: list(s.records()), s.popitem, s.clear]
        for other in (*others, lambda: s.put("name 1", 1), lambda: s.update(a=1, b=2)):
            try:
                other()
            except (StoreError, KeyError):
                pass
