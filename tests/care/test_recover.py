"""`recover`: what still holds comes back as it was, what does not is named, and what was deleted stays away."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.engines.sqlite import statements as sql
from store.engines.sqlite.salvage import image, recovering
from store.engines.sqlite.salvage.pages import varint_bytes
from store.errors import Corrupt, LockTimeout, NotAStore, StorageError, StoreError, StoreNotFound

PAGE = 4096
OTHER = b"the key of somebody else"

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "recovered.db"


def rows_of(path: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Every column of every record, without a store."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        return {(row[1], row[2]): row for row in conn.execute(f"SELECT {sql._COLUMNS} FROM records ORDER BY id")}


def root_of(path: Path, name: str) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [name]).fetchone()
    return int(root)


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def overwrite(path: Path, at: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def filled(path: Path, seed: int = 0) -> dict[tuple[str, str], tuple[Any, ...]]:
    """A store of some pages, whose records were replaced and deleted too; some have overflow pages. Its rows."""
    rng = random.Random(seed)
    with Store[Any](path) as s, s.within("more") as more:
        s.update({f"n{number:03}": rng.randbytes(rng.randrange(20, 900)) for number in range(120)})
        more.update({f"large{number}": rng.randbytes(9000) for number in range(3)})
        for number in range(0, 120, 7):
            del s[f"n{number:03}"]
        for number in range(1, 120, 5):
            s[f"n{number:03}"] = rng.randbytes(rng.randrange(20, 900))
        s.put("expires", 1, ttl=1e6)
    return rows_of(path)


def lost_names(found: store.recovery.Recovery) -> set[tuple[str, str]]:
    return {(namespace, name) for namespace, name, _ in found.lost}


def test_sound_store_comes_back_as_it_is(path: Path, target: Path) -> None:
    before = filled(path)
    found = store.recover(path, target)
    assert (found.sealed, found.foreign, found.lost, found.unsure, found.damage) == (len(before), 0, [], [], [])
    assert found.ok
    after = rows_of(target)
    assert after == before and list(after) == list(before)
    with Store[Any](target) as s:
        assert s.verify().ok and s.verify().sealed == len(before)
        s["new"] = 1
        assert s["new"] == 1


def test_source_and_what_is_beside_it_stay_as_they_are(path: Path, target: Path) -> None:
    filled(path)
    overwrite(path, 0, bytes(PAGE))

    def everything() -> dict[str, tuple[int, bytes]]:
        return {name.name: (name.stat().st_mtime_ns, name.read_bytes()) for name in path.parent.iterdir()}

    before = everything()
    store.recover(path, target)
    after = everything()
    assert set(after) - set(before) == {target.name}
    assert {name: after[name] for name in before} == before


def test_target_has_the_rights_of_the_source(path: Path, target: Path) -> None:
    filled(path)
    path.chmod(0o640)
    store.recover(path, target)
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("first", [1, 2], ids=["with the schema", "with the pointer map"])
def test_file_that_sqlite_does_not_open(path: Path, target: Path, first: int) -> None:
    before = filled(path)
    overwrite(path, (first - 1) * PAGE, bytes(PAGE))
    if first == 1:
        with pytest.raises(StoreError), Store[Any](path, mode="r"):
            pass
    found = store.recover(path, target)
    assert rows_of(target) == before and found.lost == []
    assert (not found.ok) == (first == 1)


def test_file_whose_page_size_nobody_tells(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "pages.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA page_size = 1024")
        conn.execute("VACUUM")
    before = filled(path)
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA page_size").fetchone() == (1024,)
    overwrite(path, 0, bytes(100))
    store.recover(path, target)
    assert rows_of(target) == before


@pytest.mark.slow
def test_one_bit_costs_one_record_at_most(path: Path, target: Path) -> None:
    """Wherever it is: in a row, a pointer, the schema, the root of the table, an index, a free page."""
    before = filled(path)
    whole = path.read_bytes()
    rng = random.Random(7)
    for trial in range(24):
        # half of them where they can do most: in the heads of pages
        page = rng.randrange(len(whole) // PAGE) * PAGE
        bit = 8 * (page + rng.randrange(120 if trial % 2 else PAGE)) + rng.randrange(8)
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        found = store.recover(path, target)
        after = rows_of(target)
        remove(target)
        changed = {key for key in before if after.get(key, (0,))[1:10] != before[key][1:10]}
        assert len(changed) <= 1, f"bit {bit}"
        assert set(after) <= set(before), f"bit {bit}: {set(after) - set(before)} came back"
        if changed - set(after):
            assert changed == lost_names(found), f"bit {bit}"


def test_pages_in_each_others_place(path: Path, target: Path) -> None:
    before = filled(path)
    content = bytearray(path.read_bytes())
    leaves = [
        at
        for at in range(PAGE, len(content), PAGE)
        if content[at] == 0x0D and content.count(b"n0", at, at + PAGE) > 3
    ]
    one, two = leaves[1], leaves[-2]
    content[one : one + PAGE], content[two : two + PAGE] = content[two : two + PAGE], content[one : one + PAGE]
    path.write_bytes(content)
    found = store.recover(path, target)
    assert rows_of(target) == before
    assert (
        found.lost == [] == found.unsure and found.damage
    )  # the index of names says that they are all that there was


@pytest.mark.parametrize("kind", ["zeroed", "cut"])
def test_what_is_gone_is_named(path: Path, target: Path, kind: str) -> None:
    before = filled(path)
    content = bytearray(path.read_bytes())
    leaves = [
        at
        for at in range(PAGE, len(content), PAGE)
        if content[at] == 0x0D and content.count(b"n0", at, at + PAGE) > 3
    ]
    if kind == "zeroed":
        content[leaves[0] : leaves[0] + PAGE] = bytes(PAGE)
    else:
        del content[leaves[-1] + PAGE // 2 :]
    path.write_bytes(content)
    found = store.recover(path, target)
    after = rows_of(target)
    gone = set(before) - set(after)
    assert 1 < len(gone) < len(before) and not found.ok
    assert all(after[key] == before[key] for key in after)
    if kind == "zeroed":
        assert gone == lost_names(found)
        assert {why for *_, why in found.lost} == {"the page that it was on is damaged"}


def test_all_that_is_gone_is_named(path: Path, target: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number}": number for number in range(10)})
    root = root_of(path, "records")  # and the one page that the table has
    overwrite(path, PAGE * (root - 1), bytes(PAGE))
    found = store.recover(path, target)
    assert rows_of(target) == {} and found.sealed == 0
    assert lost_names(found) == {("", f"n{number}") for number in range(10)}


def test_what_was_deleted_or_replaced_stays_away(path: Path, target: Path) -> None:
    """Its bytes are still on free pages, its seals hold, and the table has a gap where it was."""
    with Store[Any](path) as s:
        s.update({f"old{number:02}": bytes([number]) * 700 for number in range(40)})
        s.update({f"new{number:02}": bytes([number]) * 700 for number in range(40)})
        fresh = s.opened.values.pack("", "old05", b"again" * 100, 0.0, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite wipe what is deleted
        conn.execute("DELETE FROM records WHERE name BETWEEN 'old10' AND 'old29'")
        changes = (fresh.body, fresh.seal, fresh.crc, "old05")
        conn.execute("UPDATE records SET body = ?, seal = ?, crc = ?, revision = 2 WHERE name = ?", changes)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = rows_of(path)
    content = bytearray(path.read_bytes())
    assert b"old15" in content and content.count(b"old05") > 1
    at = content.rindex(b"old05") // PAGE * PAGE
    (cells,) = struct.unpack_from(">H", content, at + 3)
    assert content[at] == 0x0D and cells
    content[at] = 0x77  # no page of any kind any more: all of the table that was there is to be searched for
    path.write_bytes(content)
    found = store.recover(path, target)
    assert {key: row[7] for key, row in rows_of(target).items()} == {key: row[7] for key, row in before.items()}
    assert found.lost == [] and found.damage


def test_without_any_index_what_may_be_old_is_told(path: Path, target: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number:02}": bytes([number]) * 1500 for number in range(40)})
        del s["n20"]
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), PAGE):
        if content[at] in (0x02, 0x05, 0x0A):  # every index, and the inner pages of the table
            content[at : at + PAGE] = bytes(PAGE)
    content[:100] = bytes(100)
    path.write_bytes(content)
    found = store.recover(path, target)
    after = {name for _, name in rows_of(target)}
    assert after >= {f"n{number:02}" for number in range(40) if number != 20}
    assert {name for _, name in found.unsure} == after


# -- the log


def crashed(path: Path, copy: Path, *, inside: bool = False) -> dict[tuple[str, str], tuple[Any, ...]]:
    """A copy of a store with a log of many commits, as a killed process leaves it. Its rows."""
    rng = random.Random(3)
    with Store[Any](path) as s:
        s.update({f"n{number:03}": rng.randbytes(300) for number in range(100)})
        s.compact()
        for number in range(0, 100, 3):
            s[f"n{number:03}"] = rng.randbytes(200)
        for number in range(1, 100, 10):
            del s[f"n{number:03}"]
        before = rows_of(path)
        if inside:
            with s.transaction():
                s.update({f"n{number:03}": b"never committed" * 2000 for number in range(100)})  # more than the cache
                s.update({f"x{number:03}": b"never committed" * 2000 for number in range(100)})
                _copy(path, copy)
        else:
            _copy(path, copy)
    return before


def _copy(path: Path, copy: Path) -> None:
    """By another process: closing a descriptor here would drop the locks of the store."""
    for suffix in ("", "-wal"):
        subprocess.run(["cp", f"{path}{suffix}", f"{copy}{suffix}"], check=True, timeout=60)


def test_log_that_a_killed_process_left(path: Path, tmp_path: Path, target: Path) -> None:
    before = crashed(path, tmp_path / "crashed")
    found = store.recover(tmp_path / "crashed", target)
    assert rows_of(target) == before and found.ok


def test_frame_that_is_damaged_does_not_take_the_commits_behind_it(path: Path, tmp_path: Path, target: Path) -> None:
    before = crashed(path, tmp_path / "crashed")
    log = tmp_path / "crashed-wal"
    frames = (log.stat().st_size - 32) // (PAGE + 24)
    assert frames > 20
    overwrite(log, 32 + 3 * (PAGE + 24) + 24 + 1000, b"\xff" * 4)
    found = store.recover(tmp_path / "crashed", target)
    after = rows_of(target)
    assert len([key for key in before if after.get(key) != before[key]]) <= 1
    assert set(after) <= set(before)
    assert [line for line in found.damage if "the log: frame 4" in line]
    with Store[Any](tmp_path / "crashed") as s:  # SQLite stops there
        assert {("", name) for name in s} != set(before)


def test_what_was_never_committed_stays_away(path: Path, tmp_path: Path, target: Path) -> None:
    before = crashed(path, tmp_path / "crashed", inside=True)
    assert (tmp_path / "crashed-wal").read_bytes().count(b"never committed") > 1000
    overwrite(tmp_path / "crashed", 0, bytes(PAGE))
    store.recover(tmp_path / "crashed", target)
    assert rows_of(target) == before


def test_journal_that_a_killed_process_left_is_taken_back(path: Path, tmp_path: Path, target: Path) -> None:
    """As on a network file system, where there is no log."""
    before = filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
        conn.execute("PRAGMA cache_size = 2")  # so that the transaction writes before its end
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("UPDATE records SET body = randomblob(2000), revision = revision + 1")
        conn.execute("DELETE FROM records WHERE name > 'n050'")
        for suffix in ("", "-journal"):
            subprocess.run(["cp", f"{path}{suffix}", f"{tmp_path / 'crashed'}{suffix}"], check=True, timeout=60)
        conn.execute("ROLLBACK")
    assert (tmp_path / "crashed").read_bytes() != path.read_bytes()
    found = store.recover(tmp_path / "crashed", target)
    assert rows_of(target) == before and found.ok


# -- keys and the id of the store


def test_records_of_other_keys_are_kept_while_their_checksum_holds(path: Path, target: Path) -> None:
    with Store[Any](path, key=OTHER) as s:
        s.update(sound=1, rotten=[2] * 50)
    with Store[Any](path) as s:
        s.update(mine=3, altered=[4] * 50)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET body = x'80' WHERE name IN ('rotten', 'altered')")
        conn.commit()
    found = store.recover(path, target)
    assert (found.sealed, found.foreign) == (1, 1)
    assert lost_names(found) == {("", "rotten"), ("", "altered")}
    with Store[Any](target) as s:
        assert dict(s) == {"sound": 1, "mine": 3}
    with Store[Any](target, key=OTHER, trust="own") as s:
        assert s["sound"] == 1


def test_key_is_taken_as_the_store_takes_it(path: Path, target: Path) -> None:
    with Store[Any](path, key=OTHER) as s:
        s["it"] = 1
    assert store.recover(path, target, key=OTHER).sealed == 1


@pytest.mark.parametrize("damage", ["a byte", "all of it"])
@pytest.mark.slow
def test_store_whose_id_is_damaged(path: Path, target: Path, damage: str) -> None:
    before = filled(path)
    with Store[Any](path) as s:
        store_id = s.opened.engine.id
    content = path.read_bytes()
    assert content.count(store_id) == 1
    at = content.index(store_id)
    overwrite(path, at - 5, content[at - 5 : at + 5] + b"\xff" if damage == "a byte" else bytes(30))
    if damage == "all of it":
        with pytest.raises(Corrupt, match=r"id of the store is lost.*--store-id"):
            store.recover(path, target)
        assert not target.exists()
        store.recover(path, target, store_id=store_id)
    else:
        store.recover(path, target)
    assert rows_of(target) == before
    with Store[Any](target) as s:
        assert s.verify().sealed == len(before)


def test_what_is_no_id(path: Path, target: Path) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        store.recover(path, target, store_id=b"short")


# -- files of large values


def test_files_come_too_where_they_are_what_was_written(path: Path, target: Path) -> None:
    with Store[Any](path, spill_bytes=1000) as s:
        s.update({name: os.urandom(5000) for name in ("sound", "missing", "altered")})
        s["small"] = 1
        sound = s["sound"]
        files = {
            name: path.parent / f"{path.name}-spill" / s.opened.find(name).spill.split('"')[1]
            for name in ("missing", "altered")
        }  # type: ignore[union-attr]
    files["missing"].unlink()
    overwrite(files["altered"], 100, b"xxxx")
    found = store.recover(path, target)
    assert {name: why.split(" ")[3] for _, name, why in found.lost} == {"missing": "is", "altered": "is"}
    assert "is missing" in found.lost[1][2] and "is altered" in found.lost[0][2]
    assert (found.sealed, found.files) == (2, 1)
    with Store[Any](target) as s:
        assert dict(s) == {"small": 1, "sound": sound}
        assert s.verify().ok and s.verify().orphans == []


# -- refusals


def test_refusals(path: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no file"):
        store.recover(path, target)
    filled(path)
    with Store[Any](path):
        with pytest.raises(StoreError, match="open in this program; close it first"):
            store.recover(path, target)
    with pytest.raises(StoreNotFound, match="no directory"):
        store.recover(path, tmp_path / "nowhere" / "x.db")
    for suffix in ("", "-spill"):
        standing = Path(f"{target}{suffix}")
        standing.write_bytes(b"of somebody")
        with pytest.raises(StorageError, match="there already"):
            store.recover(path, target)
        assert standing.read_bytes() == b"of somebody"
        standing.unlink()
    (tmp_path / "text").write_text("no store\n" * 1000)
    with pytest.raises(NotAStore, match="nothing in it looks like a record"):
        store.recover(tmp_path / "text", target)
    assert not target.exists()


def test_places_are_given_as_those_of_a_store(path: Path, target: Path) -> None:
    filled(path)
    for wrong, error in (
        (None, TypeError),
        (1, TypeError),
        ("", ValueError),
        (":memory:", ValueError),
        ("a\0b", ValueError),
    ):
        with pytest.raises(error):
            store.recover(wrong, target)  # type: ignore[arg-type]
        with pytest.raises(error):
            store.recover(path, wrong)  # type: ignore[arg-type]
    assert store.recover(f"sqlite:///{path}", os.fsencode(target)).ok  # type: ignore[arg-type]
    assert len(rows_of(target)) == len(rows_of(path))


def test_writer_elsewhere_is_waited_for_and_then_refused(
    path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    monkeypatch.setattr(recovering, "WAIT_SECONDS", 0.01)
    with open(f"{path}.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockTimeout, match="stop the programs that use it"):
            store.recover(path, target)
    assert store.recover(path, target).ok


@pytest.mark.parametrize("at", [1, -1], ids=["while it is walked", "while it is copied"])
def test_file_that_is_written_to_meanwhile(path: Path, target: Path, at: int) -> None:
    filled(path)
    seen: list[tuple[int, int]] = []

    def write(done: int, total: int) -> None:
        if not seen:
            overwrite(path, path.stat().st_size, b"x")
        seen.append((done, total))

    def write_late(done: int, total: int) -> None:
        if not seen and done > 2 * total // 3:
            overwrite(path, path.stat().st_size, b"x")
            seen.append((done, total))

    with pytest.raises(StorageError, match="written to while it was read"):
        store.recover(path, target, progress=write if at == 1 else write_late)
    assert seen
    assert [name.name for name in path.parent.iterdir() if name.name.startswith((".", target.name))] == []


def test_store_that_this_program_opens_meanwhile_keeps_its_locks(path: Path, target: Path) -> None:
    """Closing the descriptor that was read from would drop them: another process then could lock the file."""
    filled(path)
    opened: list[Store[Any]] = []

    def open_it(done: int, total: int) -> None:
        if not opened:
            opened.append(Store[Any](path, mode="r"))
            len(opened[0])

    store.recover(path, target, progress=open_it)
    try:
        len(opened[0])
        assert _is_locked(path)
    finally:
        opened[0].close()
        from store.engines.sqlite.salvage import source as sqlite_source

        while sqlite_source._kept:
            os.close(sqlite_source._kept.pop())


LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
"""


def _is_locked(path: Path) -> bool:
    """Whether another process finds SQLite's lock on the file (its shared bytes, from 0x40000002 on)."""
    done = subprocess.run([sys.executable, "-c", LOCKED, str(path)], capture_output=True, timeout=60, check=False)
    return b"BlockingIOError" in done.stderr


def test_progress_comes_to_its_end(path: Path, target: Path) -> None:
    filled(path)
    seen: list[tuple[int, int]] = []
    store.recover(path, target, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1


# -- hostile files


def loops(content: bytearray) -> None:
    """Every overflow page leads to itself."""
    for at in range(PAGE, len(content), PAGE):
        if content[at] == 0:
            content[at : at + 4] = (at // PAGE + 1).to_bytes(4, "big")


def claims(content: bytearray) -> None:
    """Each cell of each leaf says that it is as large as the file, over and over."""
    for at in range(PAGE, len(content), PAGE):
        if content[at] == 0x0D:
            for cell in struct.unpack_from(
                f">{min(1000, int.from_bytes(content[at + 3 : at + 5], 'big'))}H", content, at + 8
            ):
                content[at + cell : at + cell + 3] = b"\x94\x80\x00"


def circles(content: bytearray) -> None:
    """Inner pages lead to inner pages, the freelist to itself."""
    for at in range(PAGE, len(content), PAGE):
        if content[at] in (2, 5):
            content[at + 8 : at + 12] = (at // PAGE + 1).to_bytes(4, "big")
    content[32:36] = (5).to_bytes(4, "big")
    content[4 * PAGE : 4 * PAGE + 8] = struct.pack(">II", 5, 2**32 - 1)


@pytest.mark.parametrize("make", [loops, claims, circles])
def test_file_made_to_keep_us_busy(path: Path, target: Path, make: Callable[[bytearray], None]) -> None:
    before = filled(path)
    content = bytearray(path.read_bytes())
    make(content)
    path.write_bytes(content)
    store.recover(path, target)
    after = rows_of(target)
    assert set(after) <= set(before)


def test_chain_that_leads_to_itself_is_not_followed_for_as_long_as_a_cell_says(
    path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cell of 489 bytes that claims 80 MB on an overflow page, which is its own next one."""
    filled(path)
    content = bytearray(path.read_bytes())
    leaf = next(
        at
        for at in range(PAGE, len(content), PAGE)
        if content[at] == 0x0D and content.count(b"n0", at, at + PAGE) > 3
    )
    size = 489 + 4092 * 20_000 + 4000  # of which 489 bytes are local, as SQLite divides it
    head = varint_bytes(size) + b"\x01"
    overflow = 6
    content[leaf + 3 : leaf + 5] = (1).to_bytes(2, "big")
    content[leaf + 8 : leaf + 10] = (100).to_bytes(2, "big")
    content[leaf + 100 : leaf + 100 + len(head) + 493] = head + bytes(489) + overflow.to_bytes(4, "big")
    content[(overflow - 1) * PAGE : (overflow - 1) * PAGE + 4] = overflow.to_bytes(4, "big")
    path.write_bytes(content)
    reads = []
    read_at = image.read_at
    monkeypatch.setattr(image, "read_at", lambda *args: reads.append(args) or read_at(*args))
    store.recover(path, target)
    assert 0 < len(reads) < 5000


@pytest.mark.slow
def test_noise_in_place_of_anything(path: Path, target: Path) -> None:
    """Ends, in an error of ours or with records that were there."""
    before = filled(path)
    whole = path.read_bytes()
    rng = random.Random(11)
    for _ in range(6):
        content = bytearray(whole)
        for _ in range(rng.randrange(1, 200)):
            at = rng.randrange(len(content))
            content[at : at + rng.choice((1, 4, 512))] = rng.randbytes(rng.choice((1, 4, 512)))
        path.write_bytes(content)
        try:
            store.recover(path, target)
        except (Corrupt, NotAStore):
            continue
        after = rows_of(target)
        remove(target)
        assert all(
            row[7] == before[key][7] for key, row in after.items() if key in before and row[11] == before[key][11]
        )
