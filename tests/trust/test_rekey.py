"""`Store.rekey`: every record has the newest key's seal, and nothing else of it has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import Start
from planted import planted
from redis_rows import is_redis

from store import Conflict, Store
from store.errors import ReadOnly, Tampered, Untrusted
from store.rows.row import Row
from store.trust.keys.key import Key

OLD, NEW, THEIRS = (
    b"the retired key, 16 bytes and more",
    b"the newest key, of 16 bytes and more",
    b"somebody else's key!",
)
FOREIGN = "ignore:.*sealed with a key"


def id_of(material: bytes) -> str:
    return Key(material).id.hex()


COLUMNS = ", ".join(name for name in Row._fields if name not in ("seal", "crc"))


def columns(location: str) -> list[Any]:
    """All of the records but their seals."""
    return planted(location, f"SELECT {COLUMNS} FROM records ORDER BY id")


def parts(location: str) -> dict[str, Any]:
    """The parts of large values, each with what changes when it is written again."""
    if is_redis(location):
        return {}
    if "://" in location:
        return dict(planted(location, "SELECT file, xmin::text FROM parts"))
    return {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(f"{location}-spill")}


@pytest.fixture
def old(kept: str, clock: Any) -> str:
    """Records of all kinds, sealed with the old key: large, in another namespace, expiring, expired, changed."""
    with Store[Any](kept, key=OLD, clock=clock, spill_bytes=1000) as s:
        s.update(a=1, large=b"x" * 5000, b=[2])
        s.put("brief", 1, ttl=5)
        s.put("long", (3,), ttl=500)
        s["a"] = "changed"
        s.within("web")["c"] = {"d": 4}
        clock.advance(10)
    return kept


@pytest.mark.filterwarnings(FOREIGN)
def test_every_record_needs_the_newest_key_alone(old: str, clock: Any) -> None:
    before = columns(old)
    files = parts(old)
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        done = s.rekey()
        assert (done.resealed, done.current, done.left) == (6, 0, [])
        assert done.keys == {id_of(NEW): 6}
        assert done.key == id_of(NEW)
        again = s.rekey()
        assert (again.resealed, again.current) == (0, 6)
    assert columns(old) == before
    assert parts(old) == files
    with Store[Any](old, key=OLD, trust="own") as s, pytest.raises(Untrusted):
        s["a"]


def test_without_the_old_key_all_is_read_and_nothing_is_warned_of(old: str, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        s.rekey()
    with Store[Any](old, key=NEW, trust="own", clock=clock) as s:  # a warning is an error here
        assert list(s) == ["a", "large", "b", "long"]
        assert dict(s) == {"a": "changed", "large": b"x" * 5000, "b": [2], "long": (3,)}
        assert s.verify().ok
        assert s.purge() == 1  # what has expired is ours as well


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN)
def test_what_no_key_of_ours_sealed_is_left_and_named(old: str, clock: Any) -> None:
    with Store[Any](old, key=THEIRS, clock=clock) as s:
        s["theirs"] = 1
    planted(old, "UPDATE records SET body = ? WHERE name = 'b'", b"another")
    planted(old, "UPDATE records SET seal = ? WHERE name = 'long'", b"\0")
    before = planted(old, "SELECT * FROM records WHERE name IN ('theirs', 'b', 'long')")
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
    assert planted(old, "SELECT * FROM records WHERE name IN ('theirs', 'b', 'long')") == before
    kept = {key_id.hex() for (key_id,) in planted(old, "SELECT key_id FROM sealers")}
    assert kept == {id_of(NEW), id_of(OLD), id_of(THEIRS)}


def test_watchers_are_told_nothing(old: str, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        if s.opened.engine.changes is None:
            pytest.skip(f"the engine {s.opened.engine.kind} has no changes")
        with s.watch(timeout=0) as watch:
            s.rekey()
            assert list(watch) == []
            s["a"] = 2
            assert [change.name for change in watch] == ["a"]


def test_version_is_another_one_since_the_seal_is(old: str, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        record = s.record("b")
        s.rekey()
        with pytest.raises(Conflict):
            s.put("b", [3], if_version=record)
        assert s.record("b").revision == record.revision


def test_cached_and_edited_records_stay_what_they_are(old: str, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        assert s["b"] == [2]
        s.rekey()
        assert s["b"] == [2]
        s["b"] = [3]
        with s.edit("b") as value:
            value.append(4)
        assert s["b"] == [3, 4]


def test_undone_with_the_transaction_that_it_is_in(old: str, clock: Any) -> None:
    before = planted(old, "SELECT seal FROM records ORDER BY id")
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        with pytest.raises(ZeroDivisionError), s.transaction():
            s.rekey()
            raise ZeroDivisionError
        assert planted(old, "SELECT seal FROM records ORDER BY id") == before
        s["new"] = 1  # the key is listed again
    assert id_of(NEW) in {key_id.hex() for (key_id,) in planted(old, "SELECT key_id FROM sealers")}


def test_record_written_meanwhile_is_sealed_too(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](kept, key=OLD) as other, Store[Any](kept, key=[NEW, OLD]) as s:
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


def test_nothing_to_seal_with(kept: str, own_key: Path) -> None:
    with Store[Any](kept) as s:
        s["a"] = 1
    own_key.write_text(own_key.read_text().strip() + " retired\n")
    with Store[Any](kept) as s, pytest.raises(Untrusted, match=r"every key of .* is retired: make a new one"):
        s.rekey()


@pytest.mark.filterwarnings(FOREIGN)
def test_read_only_store_is_refused(old: str, clock: Any) -> None:
    with Store[Any](old, key=[NEW, OLD], mode="r", clock=clock) as s, pytest.raises(ReadOnly):
        s.rekey()


def test_progress(old: str, clock: Any) -> None:
    told: list[tuple[int, int]] = []
    with Store[Any](old, key=[NEW, OLD], clock=clock) as s:
        s.rekey(progress=lambda *step: told.append(step))
    assert told == [(6, 6)]


REKEYS = """
    import os, sys
    from store import Store
    import store.care.rekey
    store.care.rekey.BATCH = 10
    kept, new, old = sys.argv[1:]
    with Store(kept, key=[new, old]) as s:
        def killed(done, total):
            print(done, flush=True)
            if done == 40:
                os.kill(os.getpid(), 9)
        s.rekey(progress=killed)
"""


@pytest.mark.filterwarnings(FOREIGN)
@pytest.mark.slow
def test_killed_it_is_resumed_by_running_it_again(kept: str, start: Start) -> None:
    with Store[Any](kept, key=OLD) as s:
        s.update({str(number): number for number in range(100)})
    child = start(REKEYS, kept, NEW.decode(), OLD.decode())
    assert [child.hear() for _ in range(4)] == ["10", "20", "30", "40"]
    assert child.process.wait(60) == -9
    with Store[Any](kept, key=[NEW, OLD]) as s:
        assert s.verify().sealed == 100
        done = s.rekey()
        assert (done.resealed, done.current) == (60, 40)
        assert done.keys == {id_of(NEW): 100}


def test_the_whole_way_with_key_files(kept: str, own_key: Path, key_file: Callable[..., Path]) -> None:
    key_file(own_key, "a1" * 32)
    with Store[Any](kept) as s:
        s["a"] = {1}
    key_file(own_key, "b2" * 32, "a1" * 32 + " retired")
    with Store[Any](kept) as s:
        s.rekey()
    key_file(own_key, "b2" * 32)
    with Store[Any](kept, trust="own") as s:
        assert s["a"] == {1}
