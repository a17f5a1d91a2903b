"""Django: file-based and database cache, sessions in files and in a table, signatures, and hostile files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile, django_settings, library, make
from sources_by_hand import ENTRIES, SECRET_KEY, SESSION, SESSIONS, database, django_cache_file, session_file, signed

from store import Store
from store.cli import main
from store.errors import NotAStore
from store.importers import import_into
from store.importers.formats.django import cache, signing
from store.sessions import Sessions
from store.sessions.importing import SessionForm

NOW = 1_800_000_000.0
LATER = "2127-01-15 08:00:00.250000"
Results = dict[str, tuple[str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def run(s: Store[Any], kind: str, source: Path, **options: Any) -> Results:
    return {one.name: (one.outcome, one.why) for one in import_into(s, kind, source, **options)}


def file_cache(folder: Path, **options: Any) -> Any:
    return library("django.core.cache.backends.filebased").FileBasedCache(str(folder), options)


# -- the file-based cache


def test_entry_by_hand_is_one_of_the_library(folder: Path) -> None:
    name = django_cache_file(folder, "it", pickle.dumps([1]), pickle.dumps(time.time() + 1000))
    assert file_cache(folder).get("it") == [1]
    assert name == hashlib.md5(b":1:it").hexdigest()


@pytest.mark.parametrize("expires", [None, NOW + 9.25, int(NOW) + 9, NOW - 1, 2**40])
def test_expiry_comes_over(expires: float | None, folder: Path, path: Path) -> None:
    names = [django_cache_file(folder, str(protocol), pickle.dumps([1]), pickle.dumps(expires, protocol)) for protocol in range(6)]
    with Store[Any](path, clock=lambda: NOW) as s:
        results = run(s, "django-cache", folder, clock=lambda: NOW)
        assert {results[name][0] for name in names} == {"expired" if expires == NOW - 1 else "imported"}
        for record in s.records():
            found = None if record.expires is None else record.expires.timestamp()
            assert found == (253402300799.0 if expires == 2**40 else expires)


def test_entries_of_the_library_expire_as_there(folder: Path, path: Path) -> None:
    found = file_cache(folder)
    found.set("it", {"a": (1, {2})}, timeout=500)
    found.set("rewritten", "x" * 100, timeout=500)
    found.touch("rewritten", timeout=None)  # in place: bytes of the longer entry before stay behind its end
    names = [hashlib.md5(f":1:{key}".encode()).hexdigest() for key in ("it", "rewritten")]
    with Store[Any](path) as s:
        assert run(s, "django-cache", folder) == dict.fromkeys(names, ("imported", ""))
        assert [s[name] for name in names] == [{"a": (1, {2})}, "x" * 100]
        expires = s.record(names[0]).expires
        assert expires is not None and abs(expires.timestamp() - time.time() - 500) < 60
        assert s.record(names[1]).expires is None


def test_expiry_that_is_hostile_is_not_executed(folder: Path, tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    bad = [pickle.dumps(Hostile(marker)), pickle.dumps([1]), pickle.dumps("9"), b"", b"x", b"\x80\x05", b"N" * 200, b"NN.", pickle.dumps(2**2000)]
    names = [django_cache_file(folder, str(number), pickle.dumps([1]), expires) for number, expires in enumerate(bad)]
    with Store[Any](path) as s:
        results = run(s, "django-cache", folder, trust="all")
        assert [results[name][0] for name in names] == ["failed"] * len(names)
        assert len(s) == 0
    assert not marker.exists()


def test_value_that_is_hostile_is_refused(folder: Path, tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    name = django_cache_file(folder, "it", pickle.dumps(Hostile(marker)))
    with Store[Any](path) as s:
        assert run(s, "django-cache", folder)[name][0] == "refused"
    assert not marker.exists()


def test_value_that_grows_beyond_measure(folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 1_000_000)
    bomb = django_cache_file(folder, "bomb", bytes(10_000_000))
    cut = django_cache_file(folder, "cut", pickle.dumps([1]))
    (folder / f"{cut}.djcache").write_bytes((folder / f"{cut}.djcache").read_bytes()[:-3])
    with Store[Any](path) as s:
        results = run(s, "django-cache", folder)
        assert results[bomb] == ("failed", "it would take more than 1000000 bytes")
        assert results[cut] == ("failed", "its end is missing")


def test_folder_of_a_cache_with_other_things(folder: Path, tmp_path: Path, path: Path) -> None:
    (tmp_path / "secret.djcache").write_bytes(pickle.dumps(None) + zlib.compress(pickle.dumps("secret")))
    (folder / "a.djcache").symlink_to(tmp_path / "secret.djcache")
    os.mkfifo(folder / "b.djcache")
    (folder / "c.djcache").mkdir()
    (folder / "d.djcache").write_bytes(b"")
    (folder / "tmpx").write_bytes(b"half")
    it = django_cache_file(folder, "it", pickle.dumps([1]))
    with Store[Any](path) as s:
        outcomes = {name: outcome for name, (outcome, _) in run(s, "django-cache", folder).items()}
        assert outcomes == {"a": "failed", "b": "failed", "c": "failed", "d": "skipped", "tmpx": "skipped", it: "imported"}


# -- sessions in files


def test_session_by_hand_is_one_of_the_library(folder: Path) -> None:
    with django_settings(SECRET_KEY=SECRET_KEY.decode()):
        own = library("django.contrib.sessions.backends.file").SessionStore
        for text in (signed(b'{"a":1}'), signed(b'{"a":1}', compressed=True)):
            assert own().decode(text) == {"a": 1}


def test_sessions_end_as_they_do_there(folder: Path, path: Path) -> None:
    soon = (datetime.fromtimestamp(NOW, UTC) + timedelta(hours=5)).isoformat()
    for key, expiry in {"a" * 32: None, "b" * 32: 100, "c" * 32: soon, "d" * 32: 0, "e" * 32: "2020-01-01T00:00:00+00:00"}.items():
        file = session_file(folder, {} if expiry is None else {"_session_expiry": expiry}, key)
        os.utime(file, (NOW, NOW))
    with Store[Any](path, clock=lambda: NOW) as s:
        results = run(s, "django-sessions", folder, clock=lambda: NOW)
        assert results.pop("e" * 32)[0] == "expired"
        assert set(results.values()) == {("imported", "")}
        ends = {record.name[0]: record.expires.timestamp() - NOW for record in s.records() if record.expires}
        assert (ends["a"], ends["b"], ends["d"]) == (1_209_600, 100, 1_209_600)
        assert ends["c"] == datetime.fromisoformat(soon).timestamp() - NOW
        s.clear()
        run(s, "django-sessions", folder, clock=lambda: NOW, session_age=50.0)
        record = s.record("a" * 32)
        assert record.expires is not None and record.expires.timestamp() - NOW == 50


def test_sessions_of_the_library_are_checked_with_its_key(folder: Path, tmp_path: Path, path: Path) -> None:
    long = {"text": "x" * 5000, "_auth_user_id": "7"}  # compressed
    source = make("django-sessions", tmp_path / "made", {SESSION: long})
    session_file(source, {"_auth_user_id": "1"}, "z" * 32, secret=b"of an attacker")
    for keys in ([SECRET_KEY], [SECRET_KEY.decode()], ["another", SECRET_KEY]):
        with Store[Any](":memory:") as s:
            results = run(s, "django-sessions", source, secret_keys=keys)
            assert results[SESSION] == ("imported", "") and dict(s) == {SESSION: long}
            assert results["z" * 32][0] == "failed" and "signature does not match" in results["z" * 32][1]
    with Store[Any](path) as s:  # without the key nothing tells them apart
        assert run(s, "django-sessions", source) == {SESSION: ("imported", ""), "z" * 32: ("imported", "")}


@pytest.mark.parametrize("change", ["payload", "time", "signature"])
def test_session_that_was_altered_fails(change: str, folder: Path, path: Path) -> None:
    payload, stamp, signature = signed(b'{"a":1}').split(":")
    parts = {"payload": payload, "time": stamp, "signature": signature}
    parts[change] = ("A" if parts[change][0] != "A" else "B") + parts[change][1:]
    (folder / f"sessionid{SESSION}").write_text(":".join(parts.values()))
    with Store[Any](path) as s:
        assert run(s, "django-sessions", folder, secret_keys=[SECRET_KEY])[SESSION][0] == "failed"


def test_pickled_session_is_decoded_restricted(folder: Path, tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    for key, value in (("a" * 32, {"day": datetime(2026, 1, 2), "cart": [1]}), ("b" * 32, {"x": Hostile(marker)})):
        (folder / f"sessionid{key}").write_text(signed(pickle.dumps(value), compressed=True))
    with Store[Any](path) as s:
        results = run(s, "django-sessions", folder, secret_keys=[SECRET_KEY])
        assert results["a" * 32] == ("imported", "") and s["a" * 32] == {"day": datetime(2026, 1, 2), "cart": [1]}
        assert results["b" * 32][0] == "refused"
    assert not marker.exists()


def test_folder_of_sessions_with_other_things(folder: Path, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "MAX_PAYLOAD_BYTES", 1_000_000)
    (tmp_path / "secret").write_text(signed(b'{"a": 1}'))
    (folder / ("sessionid" + "a" * 32)).symlink_to(tmp_path / "secret")
    os.mkfifo(folder / ("sessionid" + "b" * 32))
    (folder / ("sessionid" + "c" * 32)).mkdir()
    bad = ["no signature", "a:b:c", ":::", signed(b"[1]"), signed(b"{no JSON"), signed(b"[" * 100_000), signed(b"\xff"), "ü:1:2",
           signed(bytes(10_000_000), compressed=True), ".AAAA:1vPZxk:AAAA", signed(b'{"_session_expiry": "soon"}'),
           signed(b'{"_session_expiry": 1e999}'), signed(b'{"_session_expiry": 1' + b"0" * 400 + b"}"), signed(b'{"_session_expiry": "0001-01-01T00:00:00+14:00"}')]  # fmt: skip
    for number, text in enumerate(bad):
        (folder / f"sessionid{number:032}").write_text(text)
    (folder / f"sessionid{SESSION}_out_x3kf9a").write_text("half")
    (folder / ("sessionid" + "d" * 32)).write_text("")
    os.truncate(session_file(folder, {}, "e" * 32), 2**28)
    session_file(folder, {"a": 1}, prefix="my-cookie")
    with Store[Any](path) as s:
        results = run(s, "django-sessions", folder)
        assert [results[f"{number:032}"][0] for number in range(len(bad))] == ["failed"] * (len(bad) - 1) + ["expired"]
        assert "more than 1000000 bytes" in results[f"{bad.index(bad[8]):032}"][1]
        assert {key: results[key * 32][0] for key in "abcde"} == {**dict.fromkeys("abce", "failed"), "d": "skipped"}
        assert results[f"sessionid{SESSION}_out_x3kf9a"][0] == "skipped"
        assert dict(s) == {SESSION: {"a": 1}}


def test_options_of_sessions_are_checked(folder: Path) -> None:
    with Store[Any](":memory:") as s:
        for options in ({"secret_keys": ["x"]}, {"session_age": 1.0}):
            with pytest.raises(ValueError, match="are for django-sessions, not for the kind 'django-cache'"):
                import_into(s, "django-cache", folder, **options)
        with pytest.raises(TypeError, match=r"a list of keys: \[SECRET_KEY\]"):
            import_into(s, "django-sessions", folder, secret_keys="abc")


def test_sessions_are_imported_under_hashes_of_their_keys(folder: Path, path: Path, clock: Any) -> None:
    session_file(folder, {"a": 1, "_session_expiry": 1000})
    session_file(folder, {"a": 2}, key="a" * 32)  # no random text
    with Sessions(path) as sessions:
        options: dict[str, Any] = {"secret_keys": [SECRET_KEY], "form": SessionForm()}
        results = run(sessions.store, "django-sessions", folder, **options)
        assert sorted(outcome for outcome, _ in results.values()) == ["failed", "imported"]
        assert sessions.load(SESSION) == {"a": 1, "_session_expiry": 1000}
        (record,) = sessions.records()
        assert (record.name, record.codec) != (SESSION, "pickle") and record.expires is not None
        assert {outcome for outcome, _ in run(sessions.store, "django-sessions", folder, **options).values()} == {"unchanged", "failed"}
    with pytest.raises(TypeError, match="data of a session are a dict"):
        SessionForm().value_of("", "", [1])


def test_command_imports_sessions(folder: Path, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session_file(folder, {"a": 1})
    (tmp_path / "key").write_bytes(SECRET_KEY + b"\n")
    command = ["import", "django-sessions", str(folder), str(path), "--sessions", "--secret-key-file", str(tmp_path / "key")]
    assert main([*command, "--dry-run"]) == 0 and not path.exists()
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == ["to be imported 1", "imported 1"]
    assert path.stat().st_mode & 0o777 == 0o600
    with Sessions(path) as sessions:
        assert sessions.load(SESSION) == {"a": 1}
    for wrong in ("--cache", "--prefix=x"):
        assert main([*command, wrong]) == 2
    assert main(["import", "django-cache", str(folder), str(path), "--sessions"]) == 2
    assert "--sessions goes with django-sessions alone" in capsys.readouterr().err


# -- tables

WRITTEN = """
import sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY=sys.argv[2], USE_TZ=True, INSTALLED_APPS=["django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "entries", "TIMEOUT": 500}},
)
django.setup()
from django.core.cache import cache
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createcachetable")
cache.set("it", {"a": (1, {2})})
cache.set("stays", [1], timeout=None)
from django.contrib.sessions.backends.db import SessionStore
session = SessionStore()
session["_auth_user_id"] = "7"
session.set_expiry(1000)
session.save()
print(session.session_key)
"""


@pytest.mark.slow
def test_tables_of_the_library(tmp_path: Path, path: Path) -> None:
    library("django")
    file = tmp_path / "site.sqlite3"
    command = [sys.executable, "-c", WRITTEN, str(file), SECRET_KEY.decode()]
    key = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    before = file.read_bytes()
    with Store[Any](path) as s:
        assert run(s, "django-sessions", file, secret_keys=[SECRET_KEY]) == {key: ("imported", "")}
        assert s[key] == {"_auth_user_id": "7", "_session_expiry": 1000}
        expires = s.record(key).expires
        assert expires is not None and abs(expires.timestamp() - time.time() - 1000) < 60
        s.clear()
        assert run(s, "django-cache", file) == {":1:it": ("imported", ""), ":1:stays": ("imported", "")}
        assert dict(s) == {":1:it": {"a": (1, {2})}, ":1:stays": [1]}
        expires = s.record(":1:it").expires
        assert expires is not None and abs(expires.timestamp() - time.time() - 500) < 60
        assert s.record(":1:stays").expires is None
    assert file.read_bytes() == before


def test_several_tables_and_one_of_them(tmp_path: Path, path: Path) -> None:
    row = (SESSION, signed(b'{"a": 1}'), LATER)
    other = (SESSION, signed(b'{"a": 2}'), LATER)
    file = database(tmp_path / "site.sqlite3", [("django_session", SESSIONS, [row]), ('o"ther', SESSIONS, [other]), ("entries", ENTRIES, [])])
    with Store[Any](path) as s:
        run(s, "django-sessions", file)
        assert dict(s) == {f"django_session:{SESSION}": {"a": 1}, f'o"ther:{SESSION}': {"a": 2}}
        s.clear()
        run(s, "django-sessions", file, table='o"ther')
        assert dict(s) == {SESSION: {"a": 2}}
        with pytest.raises(NotAStore, match="no table 'entries'; it has django_session"):
            list(import_into(s, "django-sessions", file, table="entries"))


def test_rows_that_are_damaged_fail_alone(tmp_path: Path, path: Path) -> None:
    fine = signed(b'{"a": 1}')
    rows = [("a", fine, LATER), ("b", b"\xff", LATER), ("c", fine, "soon"), ("d", fine, 7), ("e", None, LATER), ("f", fine, None), ("g", fine, "2020-01-01 00:00:00")]
    body = base64.b64encode(pickle.dumps([1])).decode()
    entries = [("h", body, LATER), ("i", "no base64!", LATER), ("j", b"\xff\xfe", LATER), ("k", body, "soon"), ("l", None, LATER), ("m", 7, LATER)]
    file = database(tmp_path / "site.sqlite3", [("django_session", SESSIONS, rows), ("entries", ENTRIES, entries)])
    with Store[Any](path) as s:
        outcomes = {name: outcome for kind in ("django-sessions", "django-cache") for name, (outcome, _) in run(s, kind, file).items()}
        assert dict(s) == {"a": {"a": 1}, "h": [1]}
        assert outcomes == {"a": "imported", "g": "expired", "h": "imported", **dict.fromkeys("bcdefijklm", "failed")}


def test_payload_is_what_json_writes(tmp_path: Path, path: Path) -> None:
    value = {"ü ☃": ["\ud83d\ude00", 1.5, None, True, {"x": {}}]}
    file = database(tmp_path / "site.sqlite3", [("django_session", SESSIONS, [(SESSION, signed(json.dumps(value).encode()), LATER)])])
    with Store[Any](path) as s:
        run(s, "django-sessions", file)
        assert s[SESSION] == {"ü ☃": ["😀", 1.5, None, True, {"x": {}}]}
