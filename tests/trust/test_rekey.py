"""`Store.rekey`: every record has the newest key's seal, and nothing else of it has changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from children import Start

from store import Conflict, Store
from store.errors import ReadOnly, Tampered, Untrusted
from store.trust.keys.key import Key

OLD, NEW, THEIRS = (
    b"the retired key, 16 bytes and more",
    b"the newest key, of 16 bytes and more",
    b"somebody else's key!",
)
FOREIGN = "ignore:.*sealed with a key"


def id_of(material: bytes) -> str:
    return Key(material).id.hex()


def columns(path: Path) -> list[Any]:
    """All of the records but their seals."""
    with closing(sqlite3.connect(path)) as conn:
        names = [name for _, name, *_ in conn.execute("PRAGMA table_info(records)") if name not in ("seal", "crc")]
        return conn.execute(f"SELECT {', '.join(names)} FROM records ORDER BY id").fetchall()


def execute(path: Path, statement: str) -> Any:
    with closing(sqlite3.connect(path)) as conn:
        found = conn.execute(statement).fetchall()
        conn.commit()
    return found


@pytest.fixture
def old(path: Path, clock: Any) -> Path:
    """Records of all kinds, sealed with the old key: large, in another namespace, expiring, expired, changed."""
    with Store[Any](path, key=OLD, clock=clock, spill_bytes=1000) as s:
        s.update(a=1, large=b"x" * 5000, b=[2])
        s.put("brief", 1, ttl=5)
        s.put("long", (3,), ttl=500)
        s["a"] = "changed"
        s.within("web")["c"] = {"d": 4}
        clock.advance(10)
    return path


@pytest.mark.filterwarnings(FOREIGN)
def test_every_record_needs_the_newest_key_alone(old: Path, clock: Any) -> None:
    before = columns(old)
    files = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(f"{old}-spill")}
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        done = s.rekey()
        assert (done.resealed, done.current, done.left) == (6, 0, [])
        assert done.keys == {id_of(NEW): 6}
        assert done.key == id_of(NEW)
        again = s.rekey()
        assert (again.resealed, again.current) == (0, 6)
    assert columns(old) == before
    assert {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(f"{old}-spill")} == files
    with Store[Any](old, key=OLD, trust="own") as s, pytest.raises(Untrusted):
        s["a"]


def test_without_the_old_key_all_is_read_and_nothing_is_warned_of(old: Path, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        s.rekey()
    with Store[Any](old, key=NEW, trust="own", clock=clock) as s:  # a warning is an error here
        assert list(s) == ["a", "large", "b", "long"]
        assert dict(s) == {"a": "changed", "large": b"x" * 5000, "b": [2], "long": (3,)}
        assert s.verify().ok
        assert s.purge() == 1  # what has expired is ours as well


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN)
def test_what_no_key_of_ours_sealed_is_left_and_named(old: Path, clock: Any) -> None:
    with Store[Any](old, key=THEIRS, clock=clock) as s:
        s["theirs"] = 1
    execute(old, "UPDATE records SET body = CAST(body || x'00' AS BLOB) WHERE name = 'b'")
    execute(old, "UPDATE records SET seal = x'00' WHERE name = 'long'")
    before = execute(old, "SELECT * FROM records WHERE name IN ('theirs', 'b', 'long')")
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        done = s.rekey()
        assert done.resealed == 4
        assert [(namespace, name) for namespace, name, _ in done.left] == [("", "b"), ("", "long"), ("", "theirs")]
        reasons = [reason for _, _, reason in done.left]
        assert "does not match" in reasons[0] or "altered" in reasons[0]
        assert "not sealed with a key of yours" in reasons[2]
        assert done.keys[id_of(THEIRS)] == 1
        assert done.keys[id_of(OLD)] == 1
        with pytest.raises(Tampered):
            s["b"]
    assert execute(old, "SELECT * FROM records WHERE name IN ('theirs', 'b', 'long')") == before
    kept = {key_id.hex() for (key_id,) in execute(old, "SELECT key_id FROM sealers")}
    assert kept == {id_of(NEW), id_of(OLD), id_of(THEIRS)}


def test_watchers_are_told_nothing(old: Path, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        with s.watch(timeout=0) as watch:
            s.rekey()
            assert list(watch) == []
            s["a"] = 2
            assert [change.name for change in watch] == ["a"]


def test_version_is_another_one_since_the_seal_is(old: Path, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        record = s.record("b")
        s.rekey()
        with pytest.raises(Conflict):
            s.put("b", [3], if_version=record)
        assert s.record("b").revision == record.revision


def test_cached_and_edited_records_stay_what_they_are(old: Path, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        assert s["b"] == [2]
        s.rekey()
        assert s["b"] == [2]
        s["b"] = [3]
        with s.edit("b") as value:
            value.append(4)
        assert s["b"] == [3, 4]


def test_undone_with_the_transaction_that_it_is_in(old: Path, clock: Any) -> None:
    before = execute(old, "SELECT seal FROM records")
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        with pytest.raises(ZeroDivisionError), s.transaction():
            s.rekey()
            raise ZeroDivisionError
        assert execute(old, "SELECT seal FROM records") == before
        s["new"] = 1  # the key is listed again
    assert id_of(NEW) in {key_id.hex() for (key_id,) in execute(old, "SELECT key_id FROM sealers")}


def test_record_written_meanwhile_is_sealed_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](path, key=OLD) as other, Store[Any](path, key=[NEW, OLD]) as s:
        other.update(a=1, b=2)
        transaction = s.opened.engine.transactions.begin

        def late(**how: Any) -> Any:
            """As if others had been faster to the lock."""
            monkeypatch.undo()
            other["a"] = 3
            del other["b"]
            return transaction(**how)

        monkeypatch.setattr(s.opened.engine.transactions, "begin", late)
        done = s.rekey()
        assert (done.resealed, done.keys) == (1, {id_of(NEW): 1})
        assert dict(s) == {"a": 3}


def test_nothing_to_seal_with(path: Path, own_key: Path) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
    own_key.write_text(own_key.read_text().strip() + " retired\n")
    with Store[Any](path) as s, pytest.raises(Untrusted, match=r"every key of .* is retired: make a new one"):
        s.rekey()


@pytest.mark.filterwarnings(FOREIGN)
def test_read_only_store_is_refused(old: Path, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], mode="r", clock=clock) as s, pytest.raises(ReadOnly):
        s.rekey()


def test_progress(old: Path, clock: Any) -> None:
    told: list[tuple[int, int]] = []
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        s.rekey(progress=lambda *step: told.append(step))
    assert told == [(6, 6)]


REKEYS = """
    import os, sys
    from store import Store
    import store.care.rekey
    store.care.rekey.BATCH = 10
    path, new, old = sys.argv[1:]
    with Store(path, key=[new, old]) as s:
        def killed(done, total):
            print(done, flush=True)
            if done == 40:
                os.kill(os.getpid(), 9)
        s.rekey(progress=killed)
"""


@pytest.mark.filterwarnings(FOREIGN)
def test_killed_it_is_resumed_by_running_it_again(path: Path, start: Start) -> None:
    with Store[Any](path, key=OLD) as s:
        s.update({str(number): number for number in range(100)})
    child = start(REKEYS, path, NEW.decode(), OLD.decode())
    assert [child.hear() for _ in range(4)] == ["10", "20", "30", "40"]
    assert child.process.wait(60) == -9
    with Store[Any](path, key=[NEW, OLD]) as s:
        assert s.verify().sealed == 100
        done = s.rekey()
        assert (done.resealed, done.current) == (60, 40)
        assert done.keys == {id_of(NEW): 100}


def test_the_whole_way_with_key_files(path: Path, own_key: Path, key_file: Callable[..., Path]) -> None:
    key_file(own_key, "a1" * 32)
    with Store[Any](path) as s:
        s["a"] = {1}
    key_file(own_key, "b2" * 32, "a1" * 32 + " retired")
    with Store[Any](path) as s:
        s.rekey()
    key_file(own_key, "b2" * 32)
    with Store[Any](path, trust="own") as s:
        assert s["a"] == {1}
