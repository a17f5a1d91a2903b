"""The file of the notes of uses: shared by processes, lossy, opened with care, and never in the way of the store."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Child, Start

import store
from store import Store
from store.engines.access_table import COUNTER_BYTES, MAX_SLOTS, MIN_SLOTS, STRIPES, size_for, slots_for
from store.engines.capabilities import Accesses, Figures
from store.engines.sqlite.engine import mapped_file
from store.engines.sqlite.engine.access_file import START, SUFFIX, header_for

RECORDS = 1_000
SIZE = START + size_for(slots_for(RECORDS))


@pytest.fixture
def s(path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path) as s:
        s.update(a=1, b=2)
        yield s


@pytest.fixture
def file(path: Path) -> Path:
    return Path(f"{path}{SUFFIX}")


def accesses_of(s: Store[Any], records: int = RECORDS, **options: Any) -> Accesses:
    assert s.opened.engine.eviction is not None
    return s.opened.engine.eviction.accesses("", records, **options)


def noted(accesses: Accesses, names: str) -> str:
    """Those of the names, a letter each, that have a note."""
    return "".join(name for name, use in zip(names, accesses.uses(names), strict=True) if use is not None)


# Runs each line that it hears, with the notes of a store.
PROGRAM = """
import os, signal, sys
from store import Store
s = Store(sys.argv[1], mode=sys.argv[2])
accesses = s.opened.engine.eviction.accesses("", 1000)
print("ready", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


@pytest.fixture
def other(s: Store[Any], start: Start) -> Child:
    return running(start, s)


def running(start: Start, s: Store[Any], mode: str = "w") -> Child:
    child = start(PROGRAM, s.location, mode)
    assert child.hear() == "ready"
    return child


def test_layout_is_on_disk_and_does_not_change(s: Store[Any], file: Path) -> None:
    clock = lambda: 1_800_000_000.5  # noqa: E731
    accesses = accesses_of(s, now=clock)
    accesses.note("a")
    content = file.read_bytes()
    assert content[:40] == b"store: accesses 1".ljust(24, b"\0") + b"".join(
        number.to_bytes(4, "little") for number in (1, 64, 8192, 2048)
    )
    assert (START, COUNTER_BYTES, STRIPES, len(content)) == (64, 8192, 256, 64 + 8192 + 8 * 2048)
    words = [
        (number, word) for number in range(2048)
        if (word := int.from_bytes(content[64 + 8192 + 8 * number :][:8], "little"))
    ]  # fmt: skip
    # crc32 of "a" with the seed of the namespace, as in `ring.marker`; 16ths of a second; the first frequency
    from store.engines.sqlite.engine.ring import marker

    mark = marker("")("a") % 2**32
    assert words == [(mark % 2048, mark >> 8 << 40 | (28_800_000_008 % 2**32) << 8 | 5)]
    accesses.close()


def test_it_has_the_rights_of_its_database_and_room_for_twice_the_records(path: Path) -> None:
    with Store[Any](path) as s:
        path.chmod(0o640)
        accesses_of(s, 5_000).close()
    status = os.stat(f"{path}{SUFFIX}")
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (START + size_for(16_384), 0o640)
    assert [slots_for(number) for number in (-1, 0, 1, 512, 513, 2**21, 2**21 + 1, 2**40)] == [
        MIN_SLOTS, MIN_SLOTS, MIN_SLOTS, MIN_SLOTS, 2 * MIN_SLOTS, MAX_SLOTS, MAX_SLOTS, MAX_SLOTS,
    ]  # fmt: skip


def test_stores_without_a_bounded_cache_have_none(s: Store[Any], file: Path) -> None:
    s["c"] = s["a"]
    assert not file.exists()


def test_processes_see_each_others_notes_and_figures(s: Store[Any], other: Child) -> None:
    accesses = accesses_of(s)
    other.ask("accesses.note('a'), accesses.count(hits=3, misses=1)")
    assert noted(accesses, "abc") == "a" and accesses.figures() == Figures(3, 1, 0)
    accesses.note("b")
    accesses.count(evictions=2)
    assert other.ask("[use is not None for use in accesses.uses('abc')]") == "[True, True, False]"
    assert other.ask("accesses.figures()") == "Figures(hits=3, misses=1, evictions=2)"
    accesses.reset()
    other.ask("accesses.count(hits=1)")
    assert accesses.figures() == Figures(1, 0, 0)
    accesses.close()


def test_killed_process_leaves_what_it_noted(s: Store[Any], other: Child) -> None:
    accesses = accesses_of(s)
    other.ask("accesses.note('a'), accesses.count(hits=3), s.__setitem__('c', 3)")
    other.say("accesses.note('b') or os.kill(os.getpid(), signal.SIGKILL)")
    assert other.process.wait(60) == -signal.SIGKILL
    assert noted(accesses, "abc") == "ab" and accesses.figures() == Figures(3, 0, 0)
    assert dict(s) == {"a": 1, "b": 2, "c": 3}
    accesses.note("c")
    assert noted(accesses, "abc") == "abc"
    accesses.close()


def test_notes_outlive_the_processes(path: Path, s: Store[Any], other: Child) -> None:
    other.ask("accesses.note('a'), accesses.count(hits=3)")
    other.end()
    s.close()
    with Store[Any](path) as again:
        accesses = accesses_of(again)
        assert noted(accesses, "ab") == "a" and accesses.figures() == Figures(3, 0, 0)
        accesses.close()


def test_forked_child_goes_on_in_the_same_file(s: Store[Any]) -> None:
    accesses = accesses_of(s)
    accesses.count(hits=1)
    child = os.fork()
    if child == 0:
        accesses.note("b")
        for _ in range(10_000):
            accesses.count(hits=1)
        os._exit(0)
    for _ in range(10_000):
        accesses.count(hits=1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert noted(accesses, "ab") == "b"
    assert accesses.figures() == Figures(20_001, 0, 0), "each has a stripe of its own"
    accesses.close()


@pytest.mark.slow
def test_crowd_loses_no_figure(s: Store[Any], crowd: Callable[..., list[Any]]) -> None:
    accesses_of(s).close()
    program = """
        with Store(sys.argv[1]) as s:
            accesses = s.opened.engine.eviction.accesses("", 1000)
            for number in range(5_000):
                accesses.count(hits=1, evictions=2)
                accesses.note(f"{sys.argv[2]} {number % 50}")
            print(json.dumps(sum(use is not None for use in accesses.uses([f"{sys.argv[2]} {n}" for n in range(50)]))))
    """
    found = crowd(4, program, s.location)
    accesses = accesses_of(s)
    assert accesses.figures() == Figures(20_000, 0, 40_000)
    assert min(found) >= 40, "most of the 200 notes find room in 2,048 slots"
    accesses.close()


# -- readers, and writers that cannot use it


def test_reader_makes_no_file_and_notes_nothing(s: Store[Any], path: Path, file: Path) -> None:
    with Store[Any](path, mode="r") as reader:
        accesses = accesses_of(reader)
        accesses.note("a")
        accesses.count(hits=1)
        accesses.reset()
        assert noted(accesses, "a") == "" and accesses.figures() == Figures(0, 0, 0)
        accesses.close()
        assert not file.exists()
        writer = accesses_of(s)
        writer.note("b")
        writer.count(hits=1)
        accesses = accesses_of(reader)
        accesses.note("a")
        accesses.count(hits=1)
        accesses.reset()
        assert noted(accesses, "ab") == "b" and accesses.figures() == Figures(1, 0, 0), "it reads what others note"
        accesses.close()
        writer.close()


def _link(file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_bytes(b"of somebody else".ljust(SIZE, b"\0"))
    file.symlink_to(victim)


def _linked_table(file: Path) -> None:
    """A table, but not of this store: a link would note uses there."""
    victim = file.with_name("victim")
    victim.write_bytes(header_for(2048).ljust(SIZE, b"\0"))
    file.symlink_to(victim)


PLANTED: dict[str, Callable[[Path], object]] = {
    "link": _link,
    "link to a table": _linked_table,
    "pipe": os.mkfifo,
    "folder": lambda file: file.mkdir(),
    "empty": lambda file: file.write_bytes(b""),
    "half a header": lambda file: file.write_bytes(header_for(2048)[:30]),
    "shorter": lambda file: file.write_bytes(header_for(2048).ljust(SIZE - 8, b"\0")),
    "longer": lambda file: file.write_bytes(header_for(2048).ljust(SIZE + 8, b"\0")),
    "another header": lambda file: file.write_bytes(b"something else".ljust(SIZE, b"\0")),
    "slots that are no power of two": lambda file: file.write_bytes(
        header_for(3_000).ljust(START + size_for(3_000), b"\0")
    ),
    "few slots": lambda file: file.write_bytes(header_for(512).ljust(START + size_for(512), b"\0")),
}


@pytest.mark.parametrize("make", PLANTED.values(), ids=PLANTED)
def test_what_was_put_there_while_the_store_was_open_is_not_used(s: Store[Any], file: Path, make: Any) -> None:
    make(file)
    places = [place for place in (file, file.with_name("victim")) if place.is_file() and not place.is_symlink()]
    before = [place.read_bytes() for place in places]
    accesses = accesses_of(s)
    accesses.note("a")
    accesses.count(hits=1)
    assert noted(accesses, "ab") == "a" and accesses.figures() == Figures(1, 0, 0), "in memory of its own"
    again = accesses_of(s)
    assert noted(again, "a") == ""
    again.close()
    accesses.close()
    assert [place.read_bytes() for place in places] == before
    file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def test_one_of_a_user_who_has_no_part_in_the_store_is_not_used(
    s: Store[Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accesses_of(s).close()
    before = file.read_bytes()
    asked: list[os.stat_result] = []
    monkeypatch.setattr(mapped_file, "is_of_store", lambda status, path: asked.append(status))
    accesses = accesses_of(s)
    accesses.note("a")
    assert noted(accesses, "a") == "a" and file.read_bytes() == before
    assert [status.st_ino for status in asked] == [file.stat().st_ino]
    accesses.close()


@pytest.mark.parametrize("slots", [MIN_SLOTS, 8_192])
def test_one_with_another_number_of_slots_is_kept(s: Store[Any], file: Path, other: Child, slots: int) -> None:
    file.unlink()  # the other process goes on with the one that it has
    file.write_bytes(header_for(slots).ljust(START + size_for(slots), b"\0"))
    accesses = accesses_of(s)
    accesses.note("a")
    again = accesses_of(s, 100_000)
    assert noted(again, "ab") == "a"
    assert file.stat().st_size == START + size_for(slots)
    again.close()
    accesses.close()


def test_disk_that_is_full(s: Store[Any], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mapped_file, "make_whole_beside", full)
    accesses = accesses_of(s)
    accesses.note("a")
    assert noted(accesses, "ab") == "a" and not file.exists()
    accesses.close()


def test_one_that_is_deleted_while_it_is_used(s: Store[Any], file: Path, other: Child) -> None:
    accesses = accesses_of(s)
    file.unlink()
    other.ask("accesses.note('a')")
    assert noted(accesses, "ab") == "a", "those who have it share it"
    again = accesses_of(s)
    assert noted(again, "ab") == "" and file.exists()
    again.close()
    accesses.close()


def test_network_file_system_has_none(path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    with Store[Any](path) as s:
        s["a"] = 1
        accesses = accesses_of(s)
        accesses.note("a")
        assert noted(accesses, "ab") == "a" and not file.exists()
        assert [found.name for found in s.opened.engine.eviction.sample("", 5)] == ["a"]  # type: ignore[union-attr]
        accesses.close()


# -- with the store


def test_it_is_destroyed_with_the_store(path: Path, file: Path) -> None:
    with Store[Any](path) as s:
        accesses_of(s).close()
    assert file.exists()
    store.destroy(path)
    assert list(path.parent.glob(f"{path.name}*")) == []


def test_backup_and_restore_leave_it_alone(s: Store[Any], file: Path, tmp_path: Path) -> None:
    accesses = accesses_of(s)
    accesses.note("a")
    s.backup(tmp_path / "backup.db")
    assert not Path(f"{tmp_path / 'backup.db'}{SUFFIX}").exists()
    store.restore(tmp_path / "backup.db", s.location)
    assert noted(accesses, "ab") == "a" and s["a"] == 1
    accesses.close()


def test_backup_over_one_that_was_used_removes_it(s: Store[Any], tmp_path: Path) -> None:
    s.backup(tmp_path / "backup.db")
    with Store[Any](tmp_path / "backup.db") as used:
        accesses_of(used).close()
    assert Path(f"{tmp_path / 'backup.db'}{SUFFIX}").exists()
    s.backup(tmp_path / "backup.db")
    assert not Path(f"{tmp_path / 'backup.db'}{SUFFIX}").exists()
