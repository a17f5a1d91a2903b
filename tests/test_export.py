"""Out again: JSON lines, a shelf, a folder of pickles; read by the standard library, and taken back."""

from __future__ import annotations

import collections
import json
import os
import pickle
import shelve
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from preferences import Prefs

from store import Store
from store.errors import StorageError
from store.export import WRITERS, export_lines, export_to
from store.importers import import_into
from store.settings import Settings
from store.settings import export_to as export_settings

PLAIN = {"a": 1, "ünïcode ☃": "text\n☃", "nested": {"a": [1, 2.5, None]}, "": "empty", "lone": "\ud800"}
ODD = {"../up": 1, "/etc/passwd": 2, "..": 3, ".": 4, "a/b": 5, "a%2Fb": 6, "A": 7, "x\1y": 8, "-n": 9, "~": 10, "it.pickle": 11}
ANY = {**PLAIN, **ODD, "object": collections.UserDict(a=1), "tuple": (1, {2}), "bytes": b"\0"}


def outcomes(results: Any) -> dict[str, str]:
    return {result.name: result.outcome for result in results}


def taken_back(kind: str, source: Path, path: Path) -> dict[str, Any]:
    with Store[Any](path) as s:
        importer = {"jsonl": "json"}.get(kind, kind)
        assert set(outcomes(import_into(s, importer, source, allow=[collections.UserDict])).values()) == {"imported"}
        return dict(s)


@pytest.mark.parametrize("kind", WRITERS)
def test_round_trip(kind: str, tmp_path: Path, place: str) -> None:
    values = {**PLAIN, **ODD} if kind == "jsonl" else ANY
    with Store[Any](place) as s:
        s.update(values)
        assert outcomes(export_to(s, kind, tmp_path / "out")) == dict.fromkeys(values, "exported")
    assert taken_back(kind, tmp_path / "out", tmp_path / "back.db") == values


class Disk:
    """What was synced, and what of that before each file or folder got its name; by inode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: set[int] = set()
        self.unsynced: list[str] = []
        for name in ("link", "rename", "replace"):
            monkeypatch.setattr(os, name, self._naming(getattr(os, name)))
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            self.synced.add(os.fstat(descriptor).st_ino)

        monkeypatch.setattr(os, "fsync", synced)

    def _naming(self, function: Any) -> Any:
        def named(source: Any, target: Any) -> Any:
            source, target = os.fsdecode(source), os.fsdecode(target)
            if ".tmp/" in target:  # dbm.dumb's own, in the hidden folder
                return function(source, target)
            inside = Path(source).iterdir() if os.path.isdir(source) else ()
            self.unsynced += [str(one) for one in (Path(source), *inside) if one.stat().st_ino not in self.synced]
            self.synced.discard(os.stat(os.path.dirname(target)).st_ino)  # it has a new name in it
            return function(source, target)

        return named


@pytest.mark.parametrize("kind", WRITERS)
def test_export_is_on_the_disk_when_it_is_told(kind: str, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](place) as s:
        s.update(PLAIN)
        disk = Disk(monkeypatch)
        list(export_to(s, kind, tmp_path / "out"))
    assert disk.unsynced == []
    assert tmp_path.stat().st_ino in disk.synced


def test_settings_are_on_the_disk_when_they_are_exported(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Settings(Prefs, place) as prefs:
        disk = Disk(monkeypatch)
        export_settings(prefs, tmp_path / "p.json")
    assert disk.unsynced == []
    assert tmp_path.stat().st_ino in disk.synced


def test_shelf_is_read_by_the_standard_library(tmp_path: Path, place: str) -> None:
    with Store[Any](place) as s:
        s.update(ANY)
        list(export_to(s, "shelve", tmp_path / "out"))
    with shelve.open(str(tmp_path / "out"), "r") as shelf:
        assert dict(shelf) == ANY


def test_pickles_are_read_by_the_standard_library_and_stay_in_their_folder(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Store[Any](place) as s:
        s.update(ANY)
        list(export_to(s, "pickles", folder / "out"))
    files = list((folder / "out").iterdir())
    assert sorted(map(repr, (pickle.loads(file.read_bytes()) for file in files))) == sorted(map(repr, ANY.values()))
    assert (folder / "out" / "a.pickle").is_file() and (folder / "out" / "..%2Fup.pickle").is_file()
    assert [file.name for file in folder.iterdir()] == ["out"]


def test_json_lines_are_plain_json(place: str) -> None:
    lines: list[str] = []
    with Store[Any](place) as s:
        s["a☃"] = [1, "☃"]
        s.put("short", 1, ttl=1000)
        list(export_lines(s, lines.append))
        expires = s.record("short").expires
    assert expires is not None
    assert [json.loads(line) for line in lines] == [
        {"name": "a☃", "value": [1, "☃"]}, {"name": "short", "value": 1, "expires": expires.timestamp()},
    ]  # fmt: skip
    assert all(line.isascii() and "\n" not in line for line in lines)


def test_json_lines_refuse_what_would_change(tmp_path: Path, place: str) -> None:
    with Store[Any](place) as s:
        s.update({"fine": [1], "tuple": (1,), "key": {1: 2}, "set": {1}, "nan": float("nan"), "object": collections.UserDict()})
        results = {result.name: result for result in export_to(s, "jsonl", tmp_path / "out.jsonl")}
    assert [name for name, result in results.items() if result.outcome == "exported"] == ["fine"]
    assert {result.outcome for result in results.values()} == {"exported", "failed"}
    assert results["key"].why == "value: JSON keys are str, not 1; a shelf and pickles can hold it"
    assert (tmp_path / "out.jsonl").read_text() == '{"name": "fine", "value": [1]}\n'


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("kind", WRITERS)
def test_record_that_cannot_be_read_is_left_out(kind: str, tmp_path: Path, path: Path) -> None:
    with Store[Any](path, key=b"another key, longer") as s:
        s.update({"plain": [1], "object": collections.UserDict(a=1)})
    with Store[Any](path) as s:
        s.update({"mine": 2, "altered": 3})
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET body = x'80' WHERE name = 'altered'")
        conn.commit()
    with Store[Any](path) as s:
        results = {result.name: result for result in export_to(s, kind, tmp_path / "out")}
    assert {name: result.outcome for name, result in results.items()} == {
        "plain": "exported", "object": "refused", "mine": "exported", "altered": "failed",
    }  # fmt: skip
    assert "collections.UserDict" in results["object"].why
    assert taken_back(kind, tmp_path / "out", tmp_path / "back.db") == {"plain": [1], "mine": 2}


def test_prefix_and_namespace(tmp_path: Path, place: str) -> None:
    with Store[Any](place, namespace="web") as s:
        s.update({"user:1": 1, "user:2": 2, "other": 3})
        s.within("").update({"user:3": 3})
        assert outcomes(export_to(s, "pickles", tmp_path / "out", prefix="user:")) == {"user:1": "exported", "user:2": "exported"}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_there_is_never_overwritten(kind: str, tmp_path: Path, place: str) -> None:
    target = tmp_path / "out"
    suffix = ".dir" if kind == "shelve" else ""
    with Store[Any](place) as s:
        s["a"] = 1
        for make in (lambda at: at.mkdir(), lambda at: at.write_bytes(b"mine"), lambda at: at.symlink_to("nowhere")):
            at = Path(f"{target}{suffix}")
            make(at)
            with pytest.raises(FileExistsError):
                list(export_to(s, kind, target))
            before = at.lstat()
            at.rmdir() if at.is_dir() else at.unlink()
            results = export_to(s, kind, target)  # and what comes there meanwhile
            next(results)
            make(at)
            with pytest.raises(FileExistsError):
                list(results)
            assert at.lstat().st_mode == before.st_mode
            at.rmdir() if at.is_dir() else at.unlink()
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith("app.db")] == []


@pytest.mark.parametrize("kind", WRITERS)
def test_export_that_is_left_early_leaves_nothing(kind: str, tmp_path: Path, place: str) -> None:
    with Store[Any](place) as s:
        s.update(a=1, b=2)
        results = export_to(s, kind, tmp_path / "out")
        next(results)
        assert not os.path.lexists(tmp_path / "out")
        results.close()  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="unknown kind"):
            export_to(s, "xml", tmp_path / "out")
        with pytest.raises(StorageError, match="nothing can be written to"):
            list(export_to(s, kind, tmp_path / "no folder" / "out"))
        assert dict(s) == {"a": 1, "b": 2}
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith("app.db")] == []


@pytest.mark.parametrize("kind", WRITERS)
def test_export_that_fails_leaves_nothing(kind: str, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with Store[Any](place) as s:
        s.update(a=1)
    monkeypatch.setattr("store.export.os.rename" if kind == "pickles" else "store.export.os.fsync", lambda *args: full(0))
    with Store[Any](place, mode="r") as s, pytest.raises(OSError, match="No space left"):
        list(export_to(s, kind, tmp_path / "out"))
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith("app.db")] == []


def test_name_too_long_for_a_file_is_told(tmp_path: Path, place: str) -> None:
    with Store[Any](place) as s:
        s.update({"☃" * 30: 1, "x" * 300: 2, "b" * 248: 3})
        results = outcomes(export_to(s, "pickles", tmp_path / "out"))
    assert list(results.values()) == ["failed", "failed", "exported"]


def test_files_of_the_same_name_to_the_file_system_are_told(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on one that does not tell A from a."""
    monkeypatch.setattr("store.export.quote", lambda name, safe: name.lower())
    with Store[Any](place) as s:
        s.update({"A": 1, "a": 2})
        assert outcomes(export_to(s, "pickles", tmp_path / "out")) == {"A": "exported", "a": "failed"}
    assert pickle.loads((tmp_path / "out" / "a.pickle").read_bytes()) == 1
