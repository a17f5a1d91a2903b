"""cachelib and Flask-Session: versions and serializers, expiry, lookups by the hashed key, and hostile folders."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile, library
from sources_by_hand import cachelib_file, seconds

from store import Store
from store.errors import Corrupt
from store.importers import import_into
from store.importers.files import beneath

NOW = 1_800_000_000
HASH = hashlib.sha256(b"it").hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def run(s: Store[Any], folder: Path, kind: str = "cachelib", **options: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.outcome, one.why) for one in import_into(s, kind, folder, **options)}


def test_entry_by_hand_is_one_of_the_library(folder: Path) -> None:
    later = int(time.time()) + 1000
    cachelib_file(folder, "it", pickle.dumps([1]), seconds(later))
    cache = library("cachelib").FileSystemCache(str(folder))
    assert cache.get("it") == [1]
    cache.set("other", [2], timeout=0)
    assert (folder / hashlib.sha256(b"other").hexdigest()).read_bytes() == bytes(4) + pickle.dumps([2], pickle.HIGHEST_PROTOCOL)


def test_expiry_comes_over(folder: Path, path: Path) -> None:
    for key, expires in (("lives", NOW + 1000), ("gone", NOW - 1), ("stays", 0)):
        cachelib_file(folder, key, pickle.dumps(key), seconds(expires))
    with Store[Any](path, clock=lambda: NOW) as s:
        results = run(s, folder, clock=lambda: float(NOW))
        lives, gone, stays = (hashlib.sha256(key).hexdigest() for key in (b"lives", b"gone", b"stays"))
        assert results == {lives: ("imported", ""), gone: ("expired", "its time in the source has run out"), stays: ("imported", "")}
        expires = s.record(lives).expires
        assert expires is not None and expires.timestamp() == NOW + 1000
        assert s.record(stays).expires is None


def test_entries_of_the_library_expire_as_there(folder: Path, path: Path) -> None:
    cache = library("cachelib").FileSystemCache(str(folder), default_timeout=500)
    before = int(time.time())
    cache.set("it", {"a": 1})
    with Store[Any](path) as s:
        assert run(s, folder) == {HASH: ("imported", "")}
        expires = s.record(HASH).expires
        assert expires is not None and before + 499 <= expires.timestamp() <= time.time() + 501


@pytest.mark.parametrize("expires, pickled", [(0, b"K\0."), (200, b"K\xc8."), (70, pickle.dumps(70, 1)), (NOW + 9, pickle.dumps(NOW + 9, 1))])
def test_expiry_of_old_versions_is_a_pickle(expires: int, pickled: bytes, folder: Path, path: Path) -> None:
    name = cachelib_file(folder, "it", pickle.dumps([1]), pickled, hashlib.md5)
    with Store[Any](path, clock=lambda: 1.0) as s:
        assert run(s, folder, clock=lambda: 1.0) == {name: ("imported", "")}
        assert s[name] == [1]
        found = s.record(name).expires
        assert (0 if found is None else found.timestamp()) == expires


def test_json_serializer(folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cachelib = library("cachelib")
    monkeypatch.setattr(cachelib.FileSystemCache, "serializer", library("cachelib.serializers").JSONSerializer())
    cache = cachelib.FileSystemCache(str(folder), default_timeout=0)
    values = {"a": {"b": [1, None]}, "text": "ü", "number": 5, "true": True}
    for name, value in values.items():
        cache.set(name, value)
    with Store[Any](path) as s:
        run(s, folder)
        assert dict(s) == {hashlib.sha256(name.encode()).hexdigest(): value for name, value in values.items()}


def test_session_of_flask_is_found_by_the_cookie(folder: Path, path: Path) -> None:
    flask, cachelib = library("flask"), library("cachelib")
    app = flask.Flask("old")
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cachelib.FileSystemCache(str(folder)))
    library("flask_session").Session(app)

    @app.get("/")
    def view() -> str:
        flask.session["cart"] = ["tea"]
        return ""

    response = app.test_client().get("/")
    sid = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    with Store[Any](path) as s:
        run(s, folder, "flask-session")
        name = hashlib.sha256(f"session:{sid}".encode()).hexdigest()
        assert s[name]["cart"] == ["tea"]
        assert s.record(name).expires is not None


def test_folder_with_other_things(folder: Path, tmp_path: Path, path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4) + pickle.dumps("secret"))
    hashes = [hashlib.md5(bytes([number])).hexdigest() for number in range(7)]
    (folder / hashes[0]).symlink_to(tmp_path / "secret")
    os.mkfifo(folder / hashes[1])
    (folder / hashes[2]).mkdir()
    (folder / hashes[3]).write_bytes(b"\1\2")
    (folder / hashes[4]).write_bytes(bytes(4) + b"<html>")
    (folder / hashes[5]).write_bytes(bytes(4) + pickle.dumps([1])[:-1])
    (folder / hashes[6]).write_bytes(bytes(4) + b"{no JSON")
    (folder / "tmpx3.__wz_cache").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    it = cachelib_file(folder, "it", pickle.dumps([1]))
    with Store[Any](path) as s:
        results = run(s, folder)
        assert dict(s) == {it: [1]}
    assert [results.pop(name)[0] for name in hashes] == ["failed"] * 7
    assert results.pop("tmpx3.__wz_cache") == ("skipped", "it is a write that was not finished")
    assert results.pop("notes.txt") == ("skipped", "its name is no hash of a key")
    assert results == {it: ("imported", "")}


@pytest.mark.parametrize("size, words", [(2**31, "at most"), (2**28, "holes")])
def test_huge_file_is_not_read(size: int, words: str, folder: Path, path: Path) -> None:
    name = cachelib_file(folder, "it", pickle.dumps([1]))
    os.truncate(folder / name, size)
    with Store[Any](path) as s:
        outcome, why = run(s, folder)[name]
        assert outcome == "failed" and words in why


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc: files without a size are not tested")
def test_file_that_has_more_bytes_than_its_size_is_not_read_on() -> None:
    with pytest.raises(Corrupt, match="more bytes than its size says"):
        beneath(f"/proc/{os.getpid()}", "status")


def test_hostile_pickle_of_a_session_never_runs(folder: Path, tmp_path: Path, path: Path) -> None:
    name = cachelib_file(folder, "it", pickle.dumps({"cart": Hostile(tmp_path / "code has run")}))
    with Store[Any](path) as s:
        assert run(s, folder, "flask-session")[name][0] == "refused"
    assert not (tmp_path / "code has run").exists()


def test_json_that_is_hostile_fails(folder: Path, path: Path) -> None:
    deep = cachelib_file(folder, "deep", b"[" * 100_000)
    twice = cachelib_file(folder, "fine", json.dumps({"a": 1}).encode())
    with Store[Any](path) as s:
        results = run(s, folder)
        assert results[deep][0] == "failed" and results[twice][0] == "imported"
