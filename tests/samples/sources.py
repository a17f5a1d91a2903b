"""Files of other programs, made by those programs, and what is in a folder: for the tests of importers."""

from __future__ import annotations

import dbm.dumb
import importlib
import json
import os
import pickle
import shelve
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

KINDS = ("shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib", "json")
PICKLED = ("shelve", "sqlitedict", "diskcache", "pickles", "joblib")  # those that may hold any object
PEERS = "the extras peers and joblib are not installed: importing from {} is not tested"


class Hostile:
    """Unpickled in full it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


def library(name: str) -> Any:
    """The peer, or a skip that says what is not tested."""
    return pytest.importorskip(name, reason=PEERS.format(name))


def make(kind: str, folder: Path, records: Mapping[str, Any]) -> Path:
    """A source of that kind, which the peer itself made; the path to import from."""
    folder.mkdir()
    return globals()[f"_make_{kind}"](folder, records)


def _make_shelve(folder: Path, records: Mapping[str, Any]) -> Path:
    with shelve.Shelf(dbm.dumb.open(str(folder / "old"), "c")) as db:
        db.update(records)
    return folder / "old"


def _make_dbm(folder: Path, records: Mapping[str, Any]) -> Path:
    with dbm.dumb.open(str(folder / "old"), "c") as db:
        for name, value in records.items():
            db[name.encode()] = value
    return folder / "old"


def _make_sqlitedict(folder: Path, records: Mapping[str, Any]) -> Path:
    with library("sqlitedict").SqliteDict(str(folder / "old.sqlite")) as db:
        db.update(records)
        db.commit()
    return folder / "old.sqlite"


def _make_diskcache(folder: Path, records: Mapping[str, Any]) -> Path:
    with library("diskcache").Cache(str(folder / "old")) as cache, cache.transact():
        for name, value in records.items():
            cache[name] = value
    return folder / "old"


def _make_pickles(folder: Path, records: Mapping[str, Any]) -> Path:
    for name, value in records.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    return folder


def _make_joblib(folder: Path, records: Mapping[str, Any]) -> Path:
    for name, value in records.items():
        library("joblib").dump(value, folder / f"{name}.joblib")
    return folder


def _make_json(folder: Path, records: Mapping[str, Any]) -> Path:
    (folder / "old.json").write_text(json.dumps(records))
    return folder / "old.json"


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that lies there: content and time of the last change of each file, and that of each folder."""
    return {
        str(entry.relative_to(folder)): (entry.read_bytes() if entry.is_file() else b"", entry.stat().st_mtime_ns)
        for entry in [folder, *folder.rglob("*")]
    }


def dbm_modules() -> list[Any]:
    """The dbm modules that this Python has; `dumb` is always one."""
    found = []
    for name in ("gnu", "ndbm", "sqlite3", "dumb"):
        try:
            found.append(importlib.import_module(f"dbm.{name}"))
        except ImportError:
            pass
    return found
