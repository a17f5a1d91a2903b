"""`verify`: every record of the file is accounted for, and nothing is decoded."""

from __future__ import annotations

import itertools
import pickle
import sqlite3
import subprocess
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spoiled import overwrite_page

from store import Store
from store.care.verify import Verification
from store.engines.sqlite.care import check
from store.engines.sqlite.salvage.frames import FRAME_HEADER, LOG_HEADER

OTHER = b"the key of somebody else"

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


def execute(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement, values).rowcount != 0
        conn.commit()


def test_empty_store_is_sound(place: str) -> None:
    with Store[Any](place) as s:
        assert s.verify() == Verification()
        assert s.verify().ok


def test_verify_does_not_make_a_key(place: str, own_key: Path) -> None:
    with Store[Any](place, key=OTHER) as s:
        s["it"] = 1
    with Store[Any](place) as s:
        assert s.verify().foreign == [("", "it")]
    assert not own_key.exists()


def test_each_verdict_is_counted_by_name(path: Path) -> None:
    with Store[Any](path) as s, s.within("more") as more:
        s.update({"a": 1, "b": 2, "tampered": 3})
        more["c"] = 4
    with Store[Any](path, key=OTHER) as s, s.within("more") as more:
        s.update({"foreign": 1, "corrupt": 2})
        more["foreign too"] = 3
    for name in ("tampered", "corrupt"):
        execute(path, "UPDATE records SET body = ? WHERE name = ?", pickle.dumps("x"), name)
    for mode in ("r", "w"):
        with Store[Any](path, mode=mode) as s:
            found = s.verify()
        assert found == Verification(
            sealed=3,
            foreign=[("", "foreign"), ("more", "foreign too")],
            tampered=[("", "tampered")],
            corrupt=[("", "corrupt")],
        )
        assert not found.ok


@pytest.mark.parametrize("field", ["foreign", "tampered", "corrupt", "damage"])
def test_one_of_anything_is_not_ok(field: str) -> None:
    assert not Verification(sealed=5, **{field: ["x"]}).ok  # type: ignore[arg-type]
    assert Verification(sealed=5).ok


def test_expired_records_and_other_namespaces_are_checked(path: Path, clock: Any) -> None:
    with Store[Any](path, clock=clock) as s, s.within("more") as more:
        s.put("gone", 1, ttl=5)
        more.put("gone", 1, ttl=5)
        clock.advance(10)
        assert len(s) == 0
        execute(path, "UPDATE records SET crc = crc, body = x'80' WHERE namespace = 'more'")
        found = s.verify()
        assert (found.sealed, found.tampered) == (1, [("more", "gone")])


def test_column_that_holds_something_else_is_corrupt(path: Path) -> None:
    with Store[Any](path) as s:
        s.update(a=1, b=2)
        with closing(sqlite3.connect(path)) as conn:
            ((schema,),) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'records'").fetchall()
            conn.execute("PRAGMA writable_schema = ON")
            loose = schema.replace("STRICT", "").replace(" BLOB NOT NULL", "").replace("body BLOB", "body")
            conn.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'records'", (loose,))
            conn.commit()
        execute(path, "UPDATE records SET body = 17 WHERE name = 'a'")
        found = s.verify()
        assert (found.sealed, found.corrupt) == (1, [("", "a")])


@pytest.mark.slow
def test_many_records_take_little_memory(place: str) -> None:
    with Store[Any](place) as s:
        s.update({f"n{number}": b"x" * 100_000 for number in range(600)})  # 60 MB
        s.compact()  # a log of that size takes long while each number is traced
        tracemalloc.start()
        try:
            found = s.verify()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert found.sealed == 600
    assert peak < 20_000_000


def test_records_deleted_meanwhile_do_not_matter(path: Path) -> None:
    """Each page is its own snapshot; between two of them anything may happen."""
    with Store[Any](path) as s:
        s.update({f"n{number:04}": number for number in range(1000)})
        rows = s.opened.engine.care.rows([])
        assert next(rows).name == "n0000"
        s["later"] = 1
        for number in range(300, 1000):
            del s[f"n{number:04}"]
        assert {row.name for row in rows} == {f"n{number:04}" for number in range(1, 300)}


def root_page(path: Path, name: str) -> slice:
    """Where in the file, with the log folded in, the root of a table or an index is."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (root,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [name]).fetchone()
    return slice(size * (root - 1), size * root)


def test_page_that_was_overwritten_is_damage(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:04}": "x" * 500 for number in range(1000)})
    overwrite_page(path)
    with Store[Any](path) as s:
        found = s.verify()
    assert found.damage
    assert not found.ok


def test_index_that_is_damaged_is_damage_though_every_record_is_sound(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:04}": number for number in range(1000)})
    page = root_page(path, "records_by_expiry")
    with open(path, "r+b") as file:
        file.seek(page.start)
        file.write(b"\xff" * (page.stop - page.start))
    with Store[Any](path) as s:
        found = s.verify()
    assert found.sealed == 1000 and not (found.foreign or found.tampered or found.corrupt)
    assert found.damage
    assert not found.ok


def test_store_in_memory() -> None:
    with Store[Any](":memory:") as s:
        s["it"] = 1
        assert s.verify() == Verification(sealed=1)


def test_inside_a_transaction_what_it_wrote_is_checked(place: str) -> None:
    with Store[Any](place) as s, s.transaction():
        s["it"] = 1
        assert s.verify().sealed == 1


# -- quick and full


def log_copy(path: Path, copy: Path) -> None:
    """The store with its log, as a killed process leaves it; by another process, for the locks' sake."""
    for suffix in ("", "-wal"):
        subprocess.run(["cp", f"{path}{suffix}", f"{copy}{suffix}"], check=True, timeout=60)


def with_wrong_index(path: Path) -> None:
    """An entry of the index of names leads to nothing: one letter of it is another one."""
    with Store[Any](path) as s:
        s.update({f"name{number:03}": number for number in range(50)})
    page = root_page(path, "sqlite_autoindex_records_1")
    content = bytearray(path.read_bytes())
    at = content.index(b"name020", page.start, page.stop)
    content[at : at + 7] = b"name02x"
    path.write_bytes(content)


def test_record_that_its_index_does_not_lead_to_is_named(path: Path) -> None:
    with_wrong_index(path)
    with Store[Any](path) as s:
        found = s.verify()
        assert found.unfound == [("", "name020")] and found.sealed == 50
        assert found.damage and not found.ok
        quick = s.verify(quick=True)
        assert quick.unfound == [] and quick.sealed == 50  # it says in its docstring what it does not find


def test_records_behind_a_page_that_cannot_be_read_are_checked_and_named(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:04}": "x" * 500 for number in range(1000)})
        row = s.opened.find("n0500")
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    assert row is not None
    page = content.index(row.seal) // 4096 * 4096
    gone = sum(1 for number in range(1000) if b"n%04d" % number in content[page : page + 4096])
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    for quick in (False, True):
        with Store[Any](path) as s:
            found = s.verify(quick=quick)
        assert ("", "n0500") in found.corrupt and len(found.corrupt) == gone < 20
        assert found.sealed == 1000 - gone and found.damage
        assert len(set(found.damage)) == len(found.damage)  # though each part of it comes upon that page


def test_quick_looks_at_the_size_of_files_and_full_at_their_content(path: Path) -> None:
    with Store[Any](path, spill_bytes=100) as s:
        s.update(altered=b"x" * 1000, cut=b"y" * 1000, sound=b"z" * 1000)
        for name in ("altered", "cut"):
            row = s.opened.find(name)
            assert row is not None and row.spill is not None
            file = Path(f"{path}-spill") / row.spill.split('"')[1]
            file.write_bytes(b"!" + file.read_bytes()[1 : None if name == "altered" else 500])
        assert [name for _, name, _ in s.verify(quick=True).files] == ["cut"]
        assert [name for _, name, _ in s.verify().files] == ["altered", "cut"]


def test_checksum_that_is_damaged_beside_a_seal_that_holds(path: Path) -> None:
    with Store[Any](path) as s:
        s["it"] = 1
        execute(path, "UPDATE records SET crc = crc + 1")
        assert s["it"] == 1
        found = s.verify(quick=True)
        assert found.sealed == 1 and "checksum of ('', 'it')" in found.damage[0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity SET format = 2",
        "INSERT INTO sealers VALUES (x'00')",
        "INSERT INTO identity VALUES (x'00', 1)",
    ],
)
def test_small_tables_that_hold_something_else(path: Path, statement: str) -> None:
    with Store[Any](path) as s:
        s["it"] = 1
        execute(path, statement)
        assert [line.split()[2] for line in s.verify(quick=True).damage] == [
            statement.split()[2 if statement[0] == "I" else 1]
        ]


def test_frame_of_the_log_that_was_damaged_while_it_is_in_use(path: Path) -> None:
    """SQLite checks a frame once, as it opens the log: from then on it believes the index."""
    with Store[Any](path) as s:
        s.update({f"n{number}": "x" * 3000 for number in range(20)})
        s.compact()
        s["n0"] = "y" * 3000
        s["n0"] = "z" * 3000  # the page is in the log twice, and nobody reads the first one
        assert s.verify().ok
        with open(f"{path}-wal", "r+b") as log:  # of which SQLite has no lock
            log.seek(32 + 24 + 2000)
            log.write(b"!!!!")
        found = s.verify()
        assert [line.split(", ")[0] for line in found.damage] == ["frame 1 of the log"] and found.sealed == 20
        assert s.verify(quick=True).ok


def test_commits_behind_a_damaged_frame_are_counted(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with Store[Any](path) as s:
        s["a"] = 1
        s.compact()
        for number in range(10):
            s["a"] = number
        log_copy(path, copy)
    with Store[Any](copy, mode="r") as s:
        assert s.verify().unread == 0 and s["a"] == 9
    with open(f"{copy}-wal", "r+b") as log:
        log.seek(32 + 5 * (4096 + 24) + 24 + 4000)
        log.write(b"!!!!")
    for suffix in ("-shm",):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
    with Store[Any](copy, mode="r") as s:
        assert s["a"] < 9
        found = s.verify()
        assert found.unread >= 4 and found.ok  # a power cut leaves the same, and lost what was not synced


def test_log_that_is_begun_anew_meanwhile_is_no_damage(path: Path) -> None:
    with Store[Any](path) as s, s.within("other") as other:
        for number in range(30):
            s["a"] = number
            if number % 10 == 9:
                s.opened.engine.handle.engine.writer.fold(s.opened.engine.handle.engine.connection(), "RESTART")
            other["b"] = number
            assert s.verify().damage == [] and s.verify().unread == 0


def test_frames_that_are_overwritten_while_they_are_read_are_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_sound, others = check.is_sound, itertools.count()

    def overwritten(log: Any, frame: Any, size: int) -> bool:
        if frame.at == LOG_HEADER + FRAME_HEADER:  # the first one, at each attempt
            execute(path, "PRAGMA wal_checkpoint(RESTART)")
            for _ in range(4):
                s[f"n{next(others)}"] = "another"
        return is_sound(log, frame, size)

    with Store[Any](path) as s:
        s.compact()
        for number in range(4):
            s["a"] = "x" * number
        monkeypatch.setattr(check, "is_sound", overwritten)
        assert s.verify().damage == []
        assert next(others) >= 4
