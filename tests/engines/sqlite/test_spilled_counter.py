"""The counter of the bytes of large values. After every test of the suite it is compared with the rows (`conftest`)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from children import Start

import store
from store import Store
from store.engines.sqlite import statements as sql
from store.engines.sqlite.backend import open_sqlite

LARGE = 2_000  # bytes that are a file
GOLDEN = Path(__file__).parents[2] / "golden"


def counted(location: str | Path) -> int:
    with closing(sqlite3.connect(location)) as conn:
        ((found,),) = conn.execute(sql.SPILLED).fetchall()
        return int(found)


def set_to(location: str | Path, *statements: str) -> None:
    with closing(sqlite3.connect(location)) as conn:
        for statement in statements:
            conn.execute(statement)
        conn.commit()


def large(number: int = 0) -> bytes:
    return bytes([number]) * (LARGE + number)


@pytest.fixture
def s(path: Path, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](path, clock=clock, spill_bytes=1_000) as s:
        yield s


def test_each_write_counts(s: Store[Any], clock: Any) -> None:
    found = [counted(s.location)]

    def count() -> int:
        found.append(counted(s.location))
        return found[-1] - found[-2]

    s["a"] = large()
    size = count()
    assert LARGE < size < LARGE + 100
    s["a"] = large(7)
    assert count() == 7
    s["a"] = "small"
    assert count() == -(size + 7)
    s.update(a=large(), b=large(), c="small", d=large())
    assert count() == 3 * size
    s.update(a=large(), b="small", e=large())
    assert count() == 0
    s.touch("a", ttl=60)
    assert count() == 0
    del s["d"]
    assert count() == -size
    s.put("f", large(), ttl=5)
    assert count() == size
    clock.advance(10)
    s.put("f", large(1), ttl=5)  # over one that has expired
    assert count() == 1
    clock.advance(10)
    assert s.purge() == 1
    assert count() == -size - 1
    s.within("other")["x"] = large()
    s.clear()
    assert counted(s.location) == size
    s.within("other").clear()
    assert counted(s.location) == 0


def test_what_is_rolled_back_does_not_count(s: Store[Any]) -> None:
    s["a"] = large()
    before = counted(s.location)
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["b"] = large()
        del s["a"]
        1 / 0
    assert counted(s.location) == before
    with s.transaction():
        s["b"] = large()
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["c"] = large()
            1 / 0
    assert counted(s.location) == 2 * before


@pytest.mark.slow
def test_any_mix_of_writes(s: Store[Any]) -> None:
    random = Random(18)
    names = [f"k{number}" for number in range(12)]
    for _ in range(150):
        some = random.sample(names, random.randrange(1, 5))
        values = {name: large(random.randrange(9)) if random.random() < 0.5 else "small" for name in some}
        match random.randrange(6):
            case 0:
                s.update(values)
            case 1:
                s.delete_many(some)
            case 2:
                s.put(some[0], values[some[0]], ttl=random.choice([None, 0.5, 100]))
            case 3:
                s.opened.engine.load([row for name in some if (row := s.opened.find(name)) is not None])
            case 4:
                s.pop(some[0], None)
            case _:
                s.setdefault(some[0], values[some[0]])
        assert counted(s.location) == sum(record.size for record in s.records() if record.size >= LARGE)


def test_copies_count_anew(s: Store[Any], path: Path, tmp_path: Path) -> None:
    s.update(a=large(), b=large(3), c="small")
    full = counted(path)
    s.backup(tmp_path / "backup.db")
    del s["a"]
    half = counted(path)
    assert counted(tmp_path / "backup.db") == full > half > 0
    store.restore(tmp_path / "backup.db", path)
    assert counted(path) == full
    with Store[Any](tmp_path / "copy.db", spill_bytes=1_000) as target:
        store.copy(s, target)
    assert counted(tmp_path / "copy.db") == full
    s.close()
    store.recover(path, tmp_path / "recovered.db")
    assert counted(tmp_path / "recovered.db") == full


@pytest.mark.damaged
@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE spilled SET bytes = bytes + 1"],
        ["UPDATE spilled SET bytes = -5"],
        ["UPDATE spilled SET bytes = 9223372036854775807"],
        ["DELETE FROM spilled"],
        ["INSERT INTO spilled SELECT bytes FROM spilled"],
    ],
    ids=["wrong", "negative", "largest", "none", "twice"],
)
def test_verify_finds_a_wrong_one_and_compact_puts_it_right(s: Store[Any], statements: list[str]) -> None:
    s["a"] = large()
    right = counted(s.location)
    set_to(s.location, *statements)
    (damage,) = s.verify().damage
    assert f"the files of all records have {right} bytes" in damage and "`compact` puts it right" in damage
    s["b"] = large()  # which a wrong one does not keep from being written
    del s["b"]
    assert s.opened.engine.eviction.live_bytes("") > 0  # type: ignore[union-attr]
    s.compact()
    assert s.verify().ok and counted(s.location) == right


@pytest.mark.damaged
def test_rows_that_name_files_of_any_size(s: Store[Any]) -> None:
    s["a"] = large()
    row = s.opened.find("a")
    assert row is not None
    for text in (f'[["x",{2**63 - 1},""],["y",{2**63 - 1},""]]', "[[[", '[["x",-5,""]]', "\x00"):
        s.opened.engine.load([row._replace(name="huge", spill=text)])
        assert 0 <= counted(s.location) <= 2**62
        del s["huge"]
        assert 0 <= counted(s.location) <= 2**62
        s["b"] = large()
        del s["b"]


@pytest.mark.heavy
@pytest.mark.orphans
def test_process_that_is_killed_in_a_write(s: Store[Any], start: Start) -> None:
    """At each of the statements of writes that change the counter."""
    program = """
        import os, signal, sys
        from store import Store
        from store.engines.sqlite import writing
        s = Store(sys.argv[1], spill_bytes=1_000)
        s["a"] = bytes(2_000)
        conn, left = s.opened.engine.handle.engine.connection().conn, [int(sys.argv[2])]
        def count(statement):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        conn.set_trace_callback(count)
        s.update(a=bytes(2_100), b=bytes(2_200))
        del s["a"]
        s["c"] = bytes(2_300)
        print("done", flush=True)
    """
    for moment in range(1, 60, 4):
        child = start(program, s.location, moment)
        output, _ = child.process.communicate(timeout=60)
        found = s.verify()
        assert found.ok, f"killed at statement {moment}"
        s.clear()
        assert counted(s.location) == 0
        if output == "done\n":
            return
    pytest.fail("the program never ended")


@pytest.mark.parametrize("version", sorted(folder.name for folder in GOLDEN.iterdir() if folder.name.isdigit()))
@pytest.mark.parametrize("file", ["closed.store", "unfolded.store"])
def test_golden_stores_count(tmp_path: Path, version: str, file: str) -> None:
    copy = Path(shutil.copytree(GOLDEN / version, tmp_path / "golden")) / file
    open_sqlite(str(copy), mode="w", timeout=5.0, durability="normal").close()
    assert counted(copy) == sum(part.stat().st_size for part in Path(f"{copy}-spill").iterdir()) > LARGE


def test_migration_of_a_store_with_a_text_that_is_none(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(GOLDEN / "1", tmp_path / "golden")) / "closed.store"
    set_to(
        copy,
        "UPDATE records SET spill = CAST(x'ff5b' AS TEXT) WHERE name = 'spilled body'",
        f"""UPDATE records SET spill = '[["x",{2**63 - 1},""],["y",{2**63 - 1},""]]' WHERE name = 'array'""",
    )
    open_sqlite(str(copy), mode="w", timeout=5.0, durability="normal").close()
    assert counted(copy) == 2**62
