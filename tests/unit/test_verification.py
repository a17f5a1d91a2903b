"""`verify`: every record of the file is accounted for, and nothing is decoded."""

from __future__ import annotations

import pickle
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.verification import Verification

OTHER = b"the key of somebody else"

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


def execute(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement, values).rowcount != 0
        conn.commit()


def test_empty_store_is_sound(path: Path) -> None:
    with Store[Any](path) as s:
        assert s.verify() == Verification()
        assert s.verify().ok


def test_verify_does_not_make_a_key(path: Path, own_key: Path) -> None:
    with Store[Any](path, key=OTHER) as s:
        s["it"] = 1
    with Store[Any](path) as s:
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


def test_many_records_take_little_memory(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number}": b"x" * 100_000 for number in range(600)})  # 60 MB
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
        rows = s._backend.every_row()
        assert next(rows).name == "n0000"
        s["later"] = 1
        for number in range(300, 1000):
            del s[f"n{number:04}"]
        assert {row.name for row in rows} == {f"n{number:04}" for number in range(1, 300)}


def test_page_that_was_overwritten_is_damage(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:04}": "x" * 500 for number in range(1000)})
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
    with open(path, "r+b") as file:
        file.seek(size * (pages // 2))
        file.write(b"\xff" * size)
    with Store[Any](path) as s:
        found = s.verify()
    assert found.damage
    assert not found.ok


def test_index_that_is_damaged_is_damage_though_every_record_is_sound(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:04}": number for number in range(1000)})
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (root,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_expiry'").fetchone()
    with open(path, "r+b") as file:
        file.seek(size * (root - 1))
        file.write(b"\xff" * size)
    with Store[Any](path) as s:
        found = s.verify()
    assert found.sealed == 1000 and not (found.foreign or found.tampered or found.corrupt)
    assert found.damage
    assert not found.ok


def test_store_in_memory() -> None:
    with Store[Any](":memory:") as s:
        s["it"] = 1
        assert s.verify() == Verification(sealed=1)


def test_inside_a_transaction_what_it_wrote_is_checked(path: Path) -> None:
    with Store[Any](path) as s, s.transaction():
        s["it"] = 1
        assert s.verify().sealed == 1
