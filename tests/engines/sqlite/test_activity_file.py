"""The file of totals: made by the one who watches, added to by all processes, and never in the way of the store."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Child, Start

import store
from store import Store
from store.engines.activity import Activity, Counters
from store.engines.sqlite.engine import activity_file
from store.engines.sqlite.engine.activity_file import HEADER, SIZE, ActivityFile
from store.errors import LockTimeout
from store.system.waits import Waits


@pytest.fixture
def s(path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path) as s:
        s["a"] = 1
        yield s


@pytest.fixture
def file(path: Path) -> Path:
    return Path(f"{path}.activity")


def activity_of(s: Store[Any]) -> ActivityFile:
    return s.opened.engine.activity  # type: ignore[return-value]


def figures(s: Store[Any]) -> tuple[int | None, ...]:
    """Reads, hits and writes."""
    return activity_of(s).figures()[:3]


# Runs each line that it hears, with a store.
PROGRAM = """
import sys
from store import Store
s = Store(sys.argv[1], mode=sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


def running(start: Start, s: Store[Any], mode: str = "w") -> Child:
    child = start(PROGRAM, s.location, mode)
    assert child.hear() == "ready"
    return child


def test_stores_that_nobody_watches_have_none(s: Store[Any], file: Path) -> None:
    s["b"] = s["a"]
    activity_of(s).add()
    assert figures(s) == (None, None, None)
    assert not file.exists()


def test_layout_is_on_disk_and_does_not_change(s: Store[Any], path: Path, file: Path) -> None:
    counters = Counters()
    activity = ActivityFile(str(path), counters)
    activity.begin()
    assert file.read_bytes() == b"store: activity 1".ljust(24, b"\0") + b"\1" + bytes(47)
    counters.reads, counters.hits, counters.writes, counters.waits.number, counters.waits.seconds = 5, 7, 3, 2, 0.5
    activity.add()
    totals = b"".join(number.to_bytes(8, "little") for number in (12, 7, 3, 2, 500_000))
    assert file.read_bytes()[32:] == totals
    assert activity.figures() == Activity(12, 7, 3, 2, 0.5)


def test_it_counts_from_the_time_when_somebody_watches(s: Store[Any]) -> None:
    s["b"] = 2
    activity_of(s).begin()
    assert figures(s) == (0, 0, 0)
    s.get("a"), s.get("a"), s.get("nothing")
    assert figures(s) == (3, 1, 0)
    _ = "a" in s, s.get_many(["a", "a"])
    assert figures(s) == (5, 3, 0)
    s.update(x=1, y=2, z=3)
    del s["x"]
    assert figures(s)[2] == 4
    s.clear()
    assert figures(s)[2] == 8


def test_listings_of_names_and_metadata_are_no_reads_and_those_of_values_are(s: Store[Any]) -> None:
    activity_of(s).begin()
    s.update(b=2, c=3)
    list(s.keys()), len(s), s.names()
    assert figures(s)[0] == 0
    list(s.values())
    assert figures(s)[0] == 3


def test_writes_of_a_transaction_count_once_each(s: Store[Any]) -> None:
    activity_of(s).begin()
    with s.transaction():
        s["b"] = 1
        s["c"] = 2
    assert figures(s)[2] == 2


def test_large_values_count_once(path: Path) -> None:
    with Store[Any](path, spill_bytes=1000) as s:
        activity_of(s).begin()
        s["large"] = bytes(5000)
        s["large"] = bytes(6000)
        s["small"] = 1
        assert figures(s)[2] == 3
        del s["large"]
        assert figures(s)[2] == 4


@pytest.mark.slow
def test_figures_are_of_all_processes(s: Store[Any], start: Start) -> None:
    activity_of(s).begin()
    writer, reader = running(start, s), running(start, s, "r")
    before = figures(s)
    writer.ask("[s.__setitem__('n', number) for number in range(7)] and None")
    reader.ask("[s['a'] for _ in range(9)] and None")
    for child in (writer, reader):
        child.ask("s.opened.engine.activity.add()")
    assert [now - then for now, then in zip(figures(s), before, strict=True)] == [9, 8, 7]  # type: ignore[operator]
    writer.ask("s.__delitem__('n')")
    writer.ask("s.close()")
    assert figures(s)[2] == before[2] + 8  # type: ignore[operator]


@pytest.mark.slow
def test_waits_for_a_lock_count(s: Store[Any], path: Path, start: Start) -> None:
    other = running(start, s)
    activity_of(s).begin()
    other.ask("globals().update(t=s.transaction()) or t.__enter__() and None")
    with Store[Any](path, timeout=0.05) as impatient, pytest.raises(LockTimeout):
        impatient["b"] = 1
    other.ask("t.__exit__(None, None, None)")
    with s.lock("job"):
        assert other.ask("s.lock('job').acquire(timeout=0.02)") == "False"
        assert other.ask("s.lock('job').acquire(blocking=False)") == "False"
    other.ask("s.opened.engine.activity.add()")
    found = activity_of(s).figures()
    assert found.lock_waits == 2 and found.lock_wait_seconds is not None and found.lock_wait_seconds >= 0.07


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_process_adds_once_a_second(path: Path, s: Store[Any], file: Path) -> None:
    clock, counters = Clock(), Counters()
    activity = ActivityFile(str(path), counters, clock)
    activity.begin()
    empty = file.read_bytes()
    counters.writes = 1
    activity.look(100.9)
    assert file.read_bytes() == empty
    activity.look(101.0)
    once = file.read_bytes()
    assert once != empty
    counters.writes = 2
    activity.look(101.9)
    assert file.read_bytes() == once
    activity.look(102.0)
    assert activity.figures().writes == 2


def test_a_program_that_only_writes_adds_too(path: Path, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    activity = activity_of(s)
    activity.begin()
    looked: list[float] = []
    lock = s.opened.engine.handle.engine.writer_lock  # type: ignore[attr-defined]
    assert lock.looks == activity.look
    monkeypatch.setattr(lock, "looks", looked.append)
    lock._backoff.check_at = 0.0
    s["b"] = 1
    assert len(looked) == 1


def test_counts_wait_while_another_process_has_the_file(path: Path, s: Store[Any], file: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    activity_of(s).begin()
    before = file.read_bytes()
    with file.open("rb+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        s["b"] = 1
        activity_of(s).add()
        assert file.read_bytes() == before
    assert figures(s)[2] == 1


def test_forked_child_adds_only_its_own(s: Store[Any]) -> None:
    activity_of(s).begin()
    s["b"] = 1
    child = os.fork()
    if child == 0:
        s["c"] = 1
        activity_of(s).add()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert figures(s)[2] == 2


def test_child_that_is_forked_while_the_file_is_locked_does_not_keep_it_locked(
    s: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    activity_of(s).begin()
    reads, writes = os.pipe()
    children: list[int] = []

    def forking(*args: Any) -> int:
        child = os.fork()
        if child == 0:
            os.close(writes)
            os.read(reads, 1)  # until the test has ended
            os._exit(0)
        children.append(child)
        return activity_file.os.pwrite(*args)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(activity_file, "write_at", forking)
            s["b"] = 1
            activity_of(s).add()
        s["c"] = 1
        assert figures(s)[2] == 2
    finally:
        os.close(writes)
        for child in children:
            os.waitpid(child, 0)
        os.close(reads)


def test_it_has_the_rights_of_its_database(path: Path, file: Path) -> None:
    with Store[Any](path) as s:
        path.chmod(0o640)
        activity_of(s).begin()
    status = file.stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (SIZE, 0o640)


def test_a_user_who_may_not_write_the_store_makes_none(
    s: Store[Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_file.os, "access", lambda *_: False)
    activity_of(s).begin()
    assert not file.exists() and figures(s) == (None, None, None)


def test_one_that_is_deleted_is_made_again(s: Store[Any], file: Path) -> None:
    activity_of(s).begin()
    s["b"] = 1
    assert figures(s)[2] == 1
    file.unlink()
    s["c"] = 1
    assert figures(s) == (None, None, None)
    activity_of(s).begin()
    assert figures(s)[2] == 0
    s["d"] = 1
    assert figures(s)[2] == 1


def _link(file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_bytes(HEADER.ljust(SIZE, b"\0"))
    file.symlink_to(victim)


PLANTED: dict[str, Callable[[Path], object]] = {
    "link": _link,
    "pipe": os.mkfifo,
    "folder": lambda file: file.mkdir(),
    "empty": lambda file: file.write_bytes(b""),
    "shorter": lambda file: file.write_bytes(HEADER.ljust(SIZE - 8, b"\0")),
    "longer": lambda file: file.write_bytes(HEADER.ljust(SIZE + 8, b"\0")),
    "another header": lambda file: file.write_bytes(b"something else".ljust(SIZE, b"\0")),
}


@pytest.mark.parametrize("make", PLANTED.values(), ids=PLANTED)
def test_what_was_put_there_while_the_store_was_open_is_not_used(s: Store[Any], file: Path, make: Any) -> None:
    make(file)
    places = [place for place in (file, file.with_name("victim")) if place.is_file()]
    before = [place.read_bytes() for place in places]
    activity_of(s).begin()
    s["b"] = 1
    assert figures(s) == (None, None, None)
    assert s["b"] == 1
    assert [place.read_bytes() for place in places] == before
    file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def test_one_of_a_user_who_has_no_part_in_the_store_is_not_used(
    s: Store[Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    activity_of(s).begin()
    before = file.read_bytes()
    monkeypatch.setattr(activity_file, "is_of_store", lambda status, path: False)
    s["b"] = 1
    assert figures(s) == (None, None, None)
    assert file.read_bytes() == before


def test_totals_of_any_size_wrap(s: Store[Any], file: Path) -> None:
    activity_of(s).add()
    file.write_bytes(HEADER + b"\xff" * 40)
    s["b"] = s["c"] = 1
    assert figures(s)[2] == 1


def test_full_disk_is_no_problem(s: Store[Any], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(activity_file, "make_whole_beside", full)
    activity_of(s).begin()
    assert not file.exists() and figures(s) == (None, None, None)
    monkeypatch.undo()
    activity_of(s).begin()
    monkeypatch.setattr(activity_file, "write_at", full)
    s["b"] = 1
    assert figures(s)[2] == 0


def test_it_is_destroyed_with_the_store(path: Path, file: Path) -> None:
    with Store[Any](path) as s:
        activity_of(s).begin()
    store.destroy(path)
    assert list(path.parent.glob(f"{path.name}*")) == []


def test_backup_leaves_it_alone_and_one_over_an_older_backup_removes_it(s: Store[Any], tmp_path: Path) -> None:
    activity_of(s).begin()
    backup = Path(f"{tmp_path / 'backup.db'}.activity")
    s.backup(tmp_path / "backup.db")
    assert not backup.exists()
    with Store[Any](tmp_path / "backup.db") as used:
        activity_of(used).begin()
    assert backup.exists()
    s.backup(tmp_path / "backup.db")
    assert not backup.exists()


def test_waits_add_up() -> None:
    waits = Waits()
    waits.add(0.5)
    waits.add(0.25)
    assert (waits.number, waits.seconds) == (2, 0.75)
