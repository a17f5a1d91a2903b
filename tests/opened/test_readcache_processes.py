"""The read cache beside other processes: each of their commits drops the records that it changed, and no others."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from children import Child, Start
from interleave import is_cached, stored, warm, write_beside

from store import Store
from store.engines.sqlite.engine.ring import HEADER, NAMES, SIZE, SLOT_BYTES, SLOTS, START
from store.opened.readcache import TRIES

# Runs each line that it hears, with an open store `s`.
PROGRAM = """
import os, signal, sqlite3, sys
from store import Store
from store.engines.sqlite.engine import ring
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
s = Store(sys.argv[1], mode=sys.argv[2])
s.get("a")
print("ready", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


@pytest.fixture
def s(path, clock) -> Iterator[Store]:
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        warm(s)
        yield s


@pytest.fixture
def other(s, start: Start) -> Child:
    """Another process with the store open."""
    return running(start, s)


def running(start: Start, s: Store, mode: str = "w") -> Child:
    child = start(PROGRAM, s.location, mode)
    assert child.hear() == "ready"
    return child


SET = 's.__setitem__("a", ["new"])'


def test_commit_of_another_process_drops_only_what_it_changed(s, other, asked):
    statements = asked(s)
    for number in range(5):
        other.ask(f's.__setitem__("a", {number})')
        assert (is_cached(s, "b"), is_cached(s, "a"), s["a"]) == (True, False, number)
    assert len(statements) == 5
    other.ask(f's.update({{str(number): 1 for number in range({NAMES - 1})}}, a=["new"])')
    assert (is_cached(s, "b"), s["a"]) == (True, ["new"])
    other.ask(f"s.update({{str(number): 2 for number in range({NAMES + 1})}})")
    assert (is_cached(s, "b"), s["0"]) == (False, 2)


@pytest.mark.slow
def test_both_processes_follow_each_other(s, other):
    for number in range(5):
        other.ask('s["a"], s["b"]')
        s["a"] = number
        assert other.ask('s.opened.cache.value("b", __import__("time").time())') == "['old']"
        assert other.ask('s["a"]') == str(number)
        other.ask(f's.__setitem__("b", ["old"]) or s.__setitem__("c", {number})')
        assert (is_cached(s, "a"), s["a"], s["b"], s["c"]) == (True, number, ["old"], number)


WRITES = {
    "set": SET,
    "insert": 's.__setitem__("c", 1)',
    "delete": 's.__delitem__("a")',
    "put": 's.put("a", 1, ttl=100)',
    "update": "s.update(a=1, b=2, c=3, d=4)",
    "clear": "s.clear()",
    "pop": 's.pop("a")',
    "popitem": "s.popitem()",
    "touch": 's.touch("a", 100)',
    "modify": 's.modify("a", lambda value: [*value, 1])',
    "purge": '[s.put("a", 1, ttl=5), setattr(s.opened, "clock", lambda: 4e9), s.purge()]',
    "large": 's.put("a", b"x" * 2_000_000)',
    "in another namespace": 's.within("beside").__setitem__("a", 1)',
    "compact": "s.compact()",
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.slow
def test_every_write_of_another_process_is_seen(s, other, write):
    with s.within("beside") as beside:
        beside["a"] = ["beside"]
        warm(beside)
        len(s), len(beside)
        other.ask(write)
        for _ in range(2):
            for store in (s, beside):
                assert {name: store.get(name) for name in "abc"} == {name: stored(store, name) for name in "abc"}
                assert len(store) == len(list(store)) == sum(name in store for name in "abcd")
                assert store.get_many("abc") == {name: store[name] for name in "abc" if name in store}


def test_process_that_is_killed_in_a_transaction(s, other):
    other.say("[block := s.transaction(), block.__enter__(), s.update(a=1, b=2), die()]")
    other.process.wait(60)
    assert (is_cached(s, "a"), s["a"], s["b"]) == (True, ["old"], ["old"])


KILLS = {
    "announced": ("ring.Ring.announce", ["old"]),
    "committed": ("ring.Ring.confirm", ["new"]),
    "slot written": ("ring._HEAD", ["new"]),
}


@pytest.mark.parametrize(("step", "value"), KILLS.values(), ids=KILLS)
@pytest.mark.slow
def test_process_that_is_killed_while_it_commits(s, other, asked, step, value):
    other.ask("s.update(c=1)")
    assert is_cached(s, "b")
    if step == "ring.Ring.announce":
        other.ask("setattr(ring.Ring, 'announce', lambda *a, f=ring.Ring.announce: (f(*a), die()))")
    elif step == "ring._HEAD":
        other.ask("setattr(ring, '_HEAD', type('Head', (), {'pack': die}))")
    else:
        other.ask("setattr(ring.Ring, 'confirm', die)")
    other.say(SET)
    other.process.wait(60)
    assert other.process.returncode == -signal.SIGKILL
    assert (s["a"], s["b"]) == (value, ["old"])
    for _ in range(TRIES):  # nobody else commits
        s["a"], s["b"]
    statements = asked(s)
    assert (s["a"], s["b"], statements) == (value, ["old"], [])
    s["a"] = ["mine"]
    assert (s["a"], s["b"], statements) == (["mine"], ["old"], [])
    write_beside(s, "b", ["theirs"])
    assert (s["a"], s["b"]) == (["mine"], ["theirs"])


@pytest.mark.slow
def test_commit_after_that_of_a_process_that_was_killed(s, start):
    for number in range(3):
        warm(s)
        first, second = running(start, s), running(start, s)
        first.ask("setattr(ring.Ring, 'confirm', die)")
        first.say(f's.__setitem__("a", {number})')
        first.process.wait(60)
        second.ask('s.__setitem__("b", 1)')
        assert (s["a"], s["b"]) == (number, 1)


@pytest.mark.parametrize("commits", [SLOTS - 1, SLOTS + 1])
@pytest.mark.slow
def test_process_that_commits_more_often_than_the_ring_remembers(s, other, commits):
    other.ask(f"[s.__setitem__('a', number) for number in range({commits})] and None")
    assert is_cached(s, "b") == (commits <= SLOTS)
    assert (s["a"], s["b"]) == (commits - 1, ["old"])


def test_log_that_is_begun_anew_within_a_commit(s, other):
    """It gets other salts; the chain goes on."""
    with closing(sqlite3.connect(s.location, isolation_level=None)) as conn:
        assert conn.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
    before = s.opened.engine.coherence.index()[32:40]
    other.ask(SET)
    assert s.opened.engine.coherence.index()[32:40] != before
    assert (is_cached(s, "b"), s["a"]) == (True, ["new"])


def test_plain_sqlite3_program_between_commits_of_ours(s, other):
    other.ask('s.__setitem__("c", 1)')
    write_beside(s, "a", ["theirs"])
    other.ask('s.__setitem__("c", 2)')
    assert (s["a"], s["b"], s["c"]) == (["theirs"], ["old"], 2)


# As a writer leaves it that dies while it writes the header: the two copies differ.
DAMAGE = """
import os, sys
number = os.open(sys.argv[1] + "-shm", os.O_RDWR)
os.pwrite(number, b"\\xff" * 4, 8)
print("0")
"""


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.slow
def test_recovery_of_the_log_that_sets_the_number_back(s, other, start, after):
    """The salts stay, and soon a commit gets a number that a cached read had before."""
    for number in range(3):
        other.ask(f's.__setitem__("c", {number})')
    warm(s)
    number = int.from_bytes(s.opened.engine.coherence.index()[8:12], "little")
    start(DAMAGE, s.location).result()
    other.ask(f"[s.__setitem__('a', number) for number in range({after})] and None")
    assert int.from_bytes(s.opened.engine.coherence.index()[8:12], "little") == after != number + after
    assert (s["a"], s["b"], s["c"]) == (after - 1, ["old"], 2)
    other.ask(SET)
    assert (s["a"], is_cached(s, "b")) == (["new"], True)


def test_fork(s):
    s["a"] = ["before"]
    warm(s)
    child = os.fork()
    if not child:
        code = 1
        try:
            assert (s["a"], s["b"]) == (["before"], ["old"])
            warm(s)
            s["a"] = ["of the child"]
            assert (s["a"], is_cached(s, "b")) == (["of the child"], True)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (s["a"], s["b"]) == (["of the child"], ["old"])
    s["a"] = ["of the parent"]
    assert (s["a"], is_cached(s, "b")) == (["of the parent"], True)


# -- readers that may not write, and rings that cannot be used


def test_reader_follows_without_writing(s, start):
    reader = running(start, s, "r")
    reader.ask('s["a"], s["b"]')
    s["a"] = ["new"]
    assert reader.ask('s.opened.cache.value("b", __import__("time").time()), s["a"]') == "(['old'], ['new'])"
    assert reader.ask("s.opened.engine.coherence._ring._buffer.__class__.__name__") == "'mmap'"
    reader.say("s.opened.engine.coherence._ring._buffer.__setitem__(0, 1)")
    assert reader.process.wait(60) == 1  # it is mapped read-only


def test_two_engines_of_one_process(s, path, clock, asked):
    with Store(path, mode="r", clock=clock) as reader:
        warm(reader)
        statements = asked(reader)
        s["a"] = ["new"]
        assert (reader["b"], statements) == (["old"], [])
        assert (reader["a"], len(statements)) == (["new"], 1)


def test_reader_makes_no_ring(path, clock):
    with Store(path, clock=clock) as s:
        s["a"] = 1
    os.unlink(f"{path}.changes")
    with Store(path, mode="r", clock=clock) as reader:
        warm(reader)
        assert not os.path.exists(f"{path}.changes")


def _random(ring: Path) -> None:
    ring.write_bytes(HEADER + os.urandom(SIZE - START))


def _pending(ring: Path) -> None:
    ring.write_bytes(HEADER.ljust(SIZE, b"\xff"))


def _other_version(ring: Path) -> None:
    ring.write_bytes(HEADER.replace(b"changes 1", b"changes 2").ljust(SIZE, b"\0"))


def _link(ring: Path) -> None:
    victim = ring.with_name("victim")
    victim.write_bytes(b"of somebody else")
    ring.symlink_to(victim)


def _hard_link(ring: Path) -> None:
    victim = ring.with_name("victim")
    victim.write_bytes(b"of somebody else".ljust(SIZE))
    os.link(victim, ring)


RINGS: dict[str, Callable[[Path], Any]] = {
    "random": _random,
    "pending": _pending,
    "of another version": _other_version,
    "empty": lambda ring: ring.touch(),
    "short": lambda ring: ring.write_bytes(HEADER.ljust(SIZE - 1, b"\0")),
    "long": lambda ring: ring.write_bytes(HEADER.ljust(SIZE + 1, b"\0")),
    "hard link": _hard_link,
    "forbidden": lambda ring: (ring.write_bytes(HEADER.ljust(SIZE, b"\0")), ring.chmod(0)),
}


@pytest.mark.parametrize("make", RINGS.values(), ids=RINGS)
@pytest.mark.slow
def test_ring_that_was_put_there(path, clock, start, make):
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
    ring = Path(f"{path}.changes")
    ring.unlink()
    make(ring)
    before = ring.stat().st_size
    with Store(path, clock=clock) as s:
        child = running(start, s)
        for number in range(3):
            warm(s)
            child.ask(f's.__setitem__("a", {number})')
            assert (s["a"], s["b"]) == (number, ["old"])
            warm(s)
            s["b"] = ["old"]
            assert (s["a"], s["b"], is_cached(s, "a")) == (number, ["old"], True)  # our own are followed
            warm(s)
            write_beside(s, "b", number)
            assert s["b"] == number
            write_beside(s, "b", ["old"])
        child.end()
    assert ring.stat().st_size == before
    victim = ring.with_name("victim")
    assert not victim.exists() or victim.read_bytes().rstrip() == b"of somebody else"


@pytest.mark.parametrize("make", [_link, os.mkfifo, lambda ring: ring.mkdir()], ids=["link", "pipe", "folder"])
@pytest.mark.slow
def test_ring_that_became_something_else_while_the_store_was_open(s, other, make):
    ring = Path(f"{s.location}.changes")
    ring.unlink()
    make(ring)
    s.opened.engine.coherence.drop()
    warm(s)
    other.ask(SET)
    assert (s["a"], s["b"]) == (["new"], ["old"])
    s["b"] = ["new"]
    assert (s["a"], s["b"], other.ask('s["a"], s["b"]')) == (["new"], ["new"], "(['new'], ['new'])")
    ring.rmdir() if ring.is_dir() and not ring.is_symlink() else ring.unlink()


@pytest.mark.slow
def test_ring_that_was_deleted_while_the_store_was_open(s, other, start):
    os.unlink(f"{s.location}.changes")
    third = running(start, s)
    for child in (other, third):
        for number in range(3):
            warm(s)
            child.ask(f's.__setitem__("a", {number})')
            assert (s["a"], s["b"]) == (number, ["old"])
    assert other.ask('s["a"]') == third.ask('s["a"]') == "2"


def test_ring_that_cannot_be_made(path, clock, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("store.engines.sqlite.engine.mapped_file.make_whole_beside", full)
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        warm(s)
        s["a"] = ["new"]
        assert (is_cached(s, "b"), s["a"]) == (True, ["new"])
        write_beside(s, "b", ["theirs"])
        assert s["b"] == ["theirs"]
    assert not os.path.exists(f"{path}.changes")


def test_ring_beside_a_restored_copy(path, clock, tmp_path):
    """The states of another log are in it, which are never those of the new one."""
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        s.backup(tmp_path / "backup.db")
        s["a"] = ["lost"]
        ring = Path(f"{path}.changes").read_bytes()
    (tmp_path / "backup.db").replace(path)
    Path(f"{path}.changes").write_bytes(ring)
    with Store(path, clock=clock) as s:
        warm(s)
        write_beside(s, "a", ["theirs"])
        assert (s["a"], s["b"]) == (["theirs"], ["old"])


def test_backup_over_one_that_was_used_removes_its_ring(s, tmp_path):
    s.backup(tmp_path / "backup.db")
    with Store(tmp_path / "backup.db") as used:
        used["c"] = 1
    assert (tmp_path / "backup.db.changes").exists()
    s.backup(tmp_path / "backup.db")
    assert not (tmp_path / "backup.db.changes").exists()


def test_ring_has_the_size_and_the_rights_of_its_database(s, path):
    path.chmod(0o640)
    os.unlink(f"{path}.changes")
    s.opened.engine.coherence.drop()
    s["a"] = 1
    status = os.stat(f"{path}.changes")
    assert (status.st_size, stat.S_IMODE(status.st_mode), status.st_nlink) == (SIZE, 0o640, 1)
    assert SLOT_BYTES * SLOTS + START == SIZE
