"""Stores that earlier releases wrote, and this one: they open, hold what they held, and are written to."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from golden_classes import Prefs

from store import Store
from store.engines.sqlite import schema as schema
from store.errors import NotAStore, UnknownProtocol
from store.sessions import Sessions
from store.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS = sorted(folder.name for folder in GOLDEN.iterdir() if folder.name.isdigit())
STORES = [(version, file.name) for version in VERSIONS for file in sorted((GOLDEN / version).glob("*.store"))]
LIBRARIES = {  # what it takes to read some of the records
    "codec msgpack": "msgpack", "codec cloudpickle": "cloudpickle", "codec dill": "dill", "codec joblib": "joblib",
    "codec toml": "tomli_w", "codec yaml": "yaml", "codec avro": "fastavro", "codec numpy": "numpy", "array": "numpy",
    "codec protobuf": "google.protobuf",
}  # fmt: skip

writer: dict[str, Any] = runpy.run_path(str(GOLDEN / "write.py"))
found_in: Callable[..., dict[str, dict[str, dict[str, Any]]]] = writer["found_in"]
open_: Callable[..., Store[Any]] = writer["open_"]

every_store = pytest.mark.parametrize("version, file", STORES)


def copy_of(tmp_path: Path, version: str, file: str) -> Path:
    return Path(shutil.copytree(GOLDEN / version, tmp_path / "golden")) / file


def is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # the package above it
        return False


def expected_of(version: str, file: str) -> dict[str, dict[str, dict[str, Any]]]:
    expected: dict[str, Any] = json.loads((GOLDEN / version / "expected.json").read_text(encoding="utf-8"))
    return expected[file]  # type: ignore[no-any-return]


def check_same(found: Any, expected: Any) -> None:
    """Values, metadata and order; not of records whose library is not installed."""
    assert list(found) == list(expected)
    for namespace, records in expected.items():
        assert list(found[namespace]) == list(records)
        for name, record in records.items():
            if is_installed(LIBRARIES.get(name, "json")):
                assert found[namespace][name] == record, (namespace, name)


def test_each_version_of_the_schema_has_golden_stores() -> None:
    """Whoever adds a version runs tests/golden/write.py; who changes a table without one is told below."""
    assert [str(number + 1) for number in range(schema.SCHEMA_VERSION)] == VERSIONS
    for version in VERSIONS:
        held = json.loads((GOLDEN / version / "expected.json").read_text(encoding="utf-8"))
        assert list(held) == [file for one, file in STORES if one == version]
        assert {record["protocol"] for record in held["closed.store"][""].values()} >= set(range(6))
        added = 3 * 4096 * (int(version) - 1)  # a page in each of three files for the table of a version
        assert sum(file.stat().st_size for file in (GOLDEN / version).rglob("*")) < 200_000 + added


def test_new_store_has_the_schema_and_format_of_the_newest_golden_ones(path: Path, tmp_path: Path) -> None:
    Store(path).close()
    golden = copy_of(tmp_path, VERSIONS[-1], "closed.store")
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    with closing(sqlite3.connect(path)) as new, closing(sqlite3.connect(golden)) as old:
        assert new.execute(statement).fetchall() == old.execute(statement).fetchall()
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT format FROM identity"):
            assert new.execute(question).fetchall() == old.execute(question).fetchall()


@pytest.mark.parametrize("mode", ["r", "w", "c"])
@every_store
def test_golden_store_holds_what_it_held(tmp_path: Path, version: str, file: str, mode: str) -> None:
    copy = copy_of(tmp_path, version, file)
    if mode == "r" and int(version) < schema.SCHEMA_VERSION:
        open_(copy).close()
    check_same(found_in(copy, mode=mode), expected_of(version, file))


@every_store
def test_golden_store_is_sound_and_is_written_to(tmp_path: Path, version: str, file: str) -> None:
    copy = copy_of(tmp_path, version, file)
    expected = expected_of(version, file)
    with open_(copy) as s:
        found = s.verify()
        assert (found.damage, found.corrupt, found.tampered, found.files, found.orphans) == ([], [], [], [], [])
        assert found.sealed == sum(
            len(records) for name, records in expected.items() if name not in ("foreign", "unkeyed")
        )
        readable = {name: s[name] for name in s if is_installed(LIBRARIES.get(name, "json"))}
        s["new"] = {"large": "z" * 5000}
        readable.pop("spilled buffers", None)  # views of files, which no codec takes
        for name, value in readable.items():
            record = s.record(name)
            s.put(name, value, codec=record.codec, protocol=record.protocol)
        del s["new"]
        s.compact()
        assert s.verify().damage == s.verify().orphans == []
    after = found_in(copy)[""]
    assert list(after) == list(expected[""])
    for name in readable:
        old, new = expected[""][name], after[name]
        assert new["revision"] == old["revision"] + 1
        assert [new[kept] for kept in ("value", "id", "codec", "protocol")] == [
            old[kept] for kept in ("value", "id", "codec", "protocol")
        ]


@pytest.mark.parametrize("version", VERSIONS)
def test_golden_settings_and_session(tmp_path: Path, version: str) -> None:
    copy = copy_of(tmp_path, version, "closed.store")
    with open_(copy) as s, Settings(Prefs, s) as prefs, Sessions(s) as sessions:
        assert (prefs.theme, prefs.font_size, prefs.recent) == ("sepia", 14, ["a", "b"])
        session = copy.with_name("session").read_text().strip()
        assert sessions.load(session) == {"user": "ann", "cart": ["tea"]}
        prefs.theme = "light"
        with sessions.edit(session) as data:
            data["cart"].append("milk")
        assert (prefs.theme, sessions.load(session)) == ("light", {"user": "ann", "cart": ["tea", "milk"]})


# -- what a later release wrote

LATER = {
    "schema": (f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}", f"schema {schema.SCHEMA_VERSION + 1}"),
    "format": (
        f"UPDATE identity SET format = {schema.FORMAT_VERSION + 1}",
        f"record format {schema.FORMAT_VERSION + 1}",
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mode", ["r", "w", "c", "n"])
@pytest.mark.parametrize("what", LATER)
@pytest.mark.parametrize("file", ["closed.store", "unfolded.store"])
def test_store_of_a_later_release_is_refused_untouched(tmp_path: Path, file: str, what: str, mode: str) -> None:
    copy = copy_of(tmp_path, VERSIONS[-1], file)
    statement, told = LATER[what]
    with closing(sqlite3.connect(copy)) as conn:
        conn.execute(statement)
        conn.commit()
    before = contents(copy.parent)
    assert set(before) & {f"{file}-wal", f"{file}-shm"} == set()
    with pytest.raises(
        NotAStore, match=rf"{file} was written by a later release \({told}.*not touched; upgrade sealed-store"
    ):
        open_(copy, mode=mode)
    assert contents(copy.parent) == before


def test_record_of_a_later_protocol_is_refused_alone(tmp_path: Path) -> None:
    copy = copy_of(tmp_path, VERSIONS[-1], "closed.store")
    with open_(copy) as s:
        sealer, row = s.opened.values.sealer, s.opened.find("int")
        assert row is not None
        later = sealer.seal(row._replace(protocol=99))
        with s.transaction():
            s.opened.engine.put(later)
    with open_(copy) as s:
        with pytest.raises(UnknownProtocol, match=r"record 'int'.*pickle protocol 99") as caught:
            s["int"]
        assert (caught.value.codec, caught.value.protocol) == ("pickle", 99)
        assert s["text"] == "Grüße\0\n"
        assert s.record("int").protocol == 99
        assert s.verify().tampered == s.verify().corrupt == []
