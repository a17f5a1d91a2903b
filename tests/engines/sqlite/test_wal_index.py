"""The map of the WAL index: when it is good, and that nothing of it is closed while SQLite has the file open."""

from __future__ import annotations

import gc
import mmap
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interleave import hook, stored, warm, write_beside

from store import Store
from store.engines.activity import Counters
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.ring import marker, space_of
from store.opened.cache_entries import Entries
from store.opened.readcache import ReadCache
from store.opened.sentinels import MISSING

TRY = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    sys.exit(3)
"""


@pytest.fixture
def s(path, clock):
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        yield s


def another_can_write(path: Path) -> bool:
    """Whether another process can begin to write just now."""
    done = subprocess.run([sys.executable, "-c", TRY, str(path)], timeout=60, check=False)
    assert done.returncode in (0, 3)
    return done.returncode == 0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# -- when it is good


def test_index_made_anew_after_the_last_connection(s):
    warm(s)
    s.opened.engine.handle.engine.pool.close_idle(1.0)
    assert not os.path.exists(f"{s.location}-shm")
    write_beside(s, "a", ["new"])
    assert s["a"] == ["new"]
    write_beside(s, "a", ["newer"])
    assert s["a"] == ["newer"]


def test_last_connection_closed_between_index_and_tag(s):
    s["b"]
    s.opened.engine.coherence.drop()
    hook(s.opened.engine.coherence, "index", after=lambda: s.opened.engine.handle.engine.pool.close_idle(1.0))
    assert s["a"] == ["old"]
    for number in range(3):
        write_beside(s, "a", [number])
        assert s["a"] == [number]


def test_index_left_beside_a_rollback_journal(path, clock):
    left = path.with_name("app.db-shm")
    with Store(path, clock=clock) as s:
        s["a"] = "old"
        row = s.opened.pack("a", "new", None)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        assert conn.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        left.write_bytes(bytes(32768))
        with Store(path, mode="r", clock=clock) as s:
            assert (s["a"], s["a"]) == ("old", "old")
            conn.execute("UPDATE records SET body = ?, seal = ?, crc = ?", (row.body, row.seal, row.crc))
            assert s["a"] == "new"
    left.unlink()


@pytest.mark.slow
def test_fork_leaves_both_sides_a_cache_of_their_own(s):
    warm(s)
    lock, other = s.opened.engine.coherence._lock, s.opened.cache._lock
    for number in range(3):
        child = os.fork()
        if not child:
            code = 1
            try:
                assert s["a"] == stored(s, "a")
                warm(s, "a")  # it has a cache
                s["a"] = [number]
                assert s["a"] == [number]
                assert s.opened.engine.coherence._lock is not lock  # another thread of the parent may have had it
                assert s.opened.cache._lock is not other
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert s["a"] == [number]
        warm(s, "a")


def test_closed_map_is_no_error(tmp_path, s, monkeypatch):
    with open(tmp_path / "index", "w+b") as file:
        file.write(bytes(48))
        file.flush()
        index = mmap.mmap(file.fileno(), 48, access=mmap.ACCESS_READ)
    header = index[:]
    index.close()
    assert (wal_index.header_of(index), wal_index.frames_in(index)) == (None, None)
    coherence = SimpleNamespace(
        writer=SimpleNamespace(holder=None),
        counters=Counters(),
        looked=0.0,
        index=lambda: index,
        marker=marker,
        space_of=space_of,
        register=lambda cache: None,
    )
    cache = ReadCache(coherence, "", 1000)
    cache._state = (index, header, Entries())
    assert (cache.value("a", 0.0), cache.begin()) == (MISSING, None)
    monkeypatch.setattr(s.opened.engine.coherence, "mapped", index)  # under a writer's hands, after its commit even
    s["a"] = ["new"]
    with s.transaction():
        s["b"] = ["new"]
    monkeypatch.undo()
    assert (s["a"], s["b"]) == (["new"], ["new"])


# -- what would drop SQLite's locks


def test_map_that_nobody_has_any_more_while_another_process_tries_to_write(s, path):
    warm(s)
    with s.transaction():
        s["a"] = ["inside"]
        s.opened.engine.coherence.drop()
        gc.collect()
        wal_index.release_unused(keep=0)
        Store(path, mode="r").close()
        assert s.opened.engine.coherence.index() is not None
        assert not another_can_write(path)
    assert another_can_write(path)


def test_descriptors_that_cannot_be_listed_are_kept(s, monkeypatch):
    def not_there(_: str) -> list[str]:
        raise FileNotFoundError("/dev/fd")

    warm(s)
    nothing_of_ours: Callable[[str], list[str]] = lambda _: ["0", "1", "2"]  # noqa: E731 - FreeBSD without fdescfs
    for listing in (not_there, nothing_of_ours):
        monkeypatch.setattr(wal_index.os, "listdir", listing)
        wal_index.release_unused(keep=0)
        monkeypatch.undo()
        assert len(wal_index._files) == 2  # the database and its index
        assert s["a"] == ["old"]


def test_connection_opened_while_descriptors_are_closed(s, path, monkeypatch):
    """It would lose its locks: whoever closes waits until it is open."""
    s.opened.engine.handle.engine.pool.close_idle(1.0)
    opened = threading.Event()
    released = threading.Thread(target=lambda: (opened.wait(30), wal_index.release_unused(keep=0)))
    engine = s.opened.engine.handle.engine
    check = engine.opener._check_identity
    states: list[bool] = []

    def checking(conn: sqlite3.Connection) -> None:
        check(conn)
        opened.set()
        released.join(0.05)  # it cannot come to its end in here, however long that is
        states.append(released.is_alive())

    monkeypatch.setattr(engine.opener, "_check_identity", checking)
    released.start()
    s["a"]
    released.join(30)
    assert states == [True]


@pytest.mark.heavy
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a map hides no descriptor there")
def test_interrupt_at_any_moment_of_mapping_keeps_the_locks(path, monkeypatch):
    """At any opcode, which is more than can happen: a `with` may leave its lock, here one that the test throws away."""
    monkeypatch.setattr(wal_index, "_files_lock", threading.RLock())
    with Store(path) as s:
        s["a"] = 1
    with Store(path, cache_bytes=0) as s:
        s["a"]  # opens a connection, and maps nothing
        coherence = s.opened.engine.coherence
        assert coherence.mapped is None
        moment, known = 0, False
        status = os.stat(f"{path}-shm")
        while _interrupted(coherence.index, moment := moment + 1):
            assert locks_on(f"{path}-shm"), f"lost at opcode {moment}"
            if not known and (status.st_dev, status.st_ino) in wal_index._files:
                moment, known = 0, True  # from now on it is open: all that comes after is yet to be interrupted
        assert moment > 30
    for number in os.listdir("/proc/self/fd"):  # those that an interrupt lost between two opcodes, which is harmless
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith(f"{path}-shm"):
                os.close(int(number))
    wal_index._files.clear()


def _interrupted(action: Callable[[], Any], moment: int) -> bool:
    """Whether it came to its n-th opcode in `wal_index`, at which it is interrupted."""
    left = moment

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        if frame.f_globals["__name__"] != wal_index.__name__:
            return None
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if event == "opcode" and left == 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # 3.12 asks for it before, in any frame
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def locks_on(file: str) -> list[str]:
    """The kernel's lines of this process's locks on a file; read several times, since one reading may miss some."""
    place, found = f":{os.stat(file).st_ino}", []
    for _ in range(20):
        with open("/proc/locks") as lines:
            found += [line for line in lines if f"{place} " in line and f" {os.getpid()} " in line]
    return found


# -- how many there are


def test_connections_closed_again_and_again_keep_descriptors_flat(s):
    warm(s)
    before = descriptors()
    for _ in range(30):
        s.opened.engine.handle.engine.pool.close_idle(1.0)  # the index is deleted, and made anew
        warm(s)
        assert descriptors() <= before + 2


def test_descriptor_that_an_interrupt_left_before_it_was_known_goes_with_the_file(path, monkeypatch):
    before = descriptors()
    open_ = os.open

    def opening(*args: Any, **options: Any) -> int:
        monkeypatch.setattr(wal_index.os, "fstat", interrupted)
        return open_(*args, **options)

    def interrupted(number: int) -> os.stat_result:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Store(path) as s:
        s["a"] = 1
        monkeypatch.setattr(wal_index.os, "open", opening)
        with pytest.raises(KeyboardInterrupt):
            wal_index._opened(f"{path}-shm")
        assert s["a"] == 1
    wal_index.release_unused(keep=0)
    assert descriptors() <= before


@pytest.mark.heavy
def test_stores_opened_again_and_again_keep_descriptors_flat(path):
    before = descriptors()
    _open_and_close(path, 200)
    assert descriptors() <= before


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [1_000, pytest.param(10_000, marks=pytest.mark.huge)])
def test_stores_opened_thousands_of_times_keep_descriptors_flat(path, times):
    before = descriptors()
    _open_and_close(path, times)
    assert descriptors() <= before


def _open_and_close(path: Path, times: int) -> None:
    for number in range(times):
        with Store(path, key=b"k" * 32) as s:
            s["a"] = number
            s["b"] = 1
            assert (s["a"], s["a"], s["b"], len(s)) == (number, number, 1, 2)


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.slow
def test_stores_opened_again_and_again_beside_another_process(path, mode):
    code = """
import sys
from store import Store
with Store(sys.argv[1]) as s:
    s["a"] = 1
    print(s["a"], flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "1\n"
        counts = set()
        for _ in range(200):
            with Store(path, mode=mode) as s:
                assert (s["a"], s["a"]) == (1, 1)
            counts.add(descriptors())
        assert len(counts) == 1  # two of the index, which is the same file all the time
        child.communicate("\n", timeout=60)
        assert child.returncode == 0


@pytest.mark.heavy
def test_many_files_only_read_one_after_the_other(tmp_path):
    paths = [tmp_path / f"{number}.db" for number in range(60)]
    for path in paths:
        with Store(path) as s:
            s["a"] = 1
    before = descriptors()
    for path in paths * 2:
        with Store(path, mode="r") as s:
            assert (s["a"], s["a"]) == (1, 1)
        assert descriptors() <= before + 2 * wal_index.KEPT
    wal_index.release_unused(keep=0)
    assert descriptors() == before


@pytest.mark.slow
def test_many_stores_at_once(tmp_path):
    before = descriptors()
    stores = [Store(tmp_path / f"{number}.db") for number in range(40)]
    for s in stores:
        s["a"] = 1
        assert (s["a"], s["a"]) == (1, 1)
    for s in stores:
        s.close()
    assert descriptors() == before


@pytest.mark.heavy
def test_opening_many_stores_looks_at_each_file_a_few_times(tmp_path, monkeypatch):
    """Counted, not timed: each store that was opened listed all descriptors of the process, and looked at all files."""
    calls = {"fstat": 0, "listdir": 0}

    def counted(name: str) -> None:
        function = getattr(os, name)

        def count(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(wal_index.os, name, count)

    counted("fstat")
    counted("listdir")
    number = 150
    stores = [Store(tmp_path / f"{number}.db", cache_bytes=1000) for number in range(number)]
    for s in stores:
        s["a"] = 1
        assert s["a"] == 1
    assert len(wal_index._files) == 2 * number  # the database, and the index of its log
    for s in stores:
        s.close()
    assert calls["fstat"] < 30 * number
    assert calls["listdir"] < 12


@pytest.mark.parametrize("where", ["between", "inside"])
def test_finalizer_that_opens_a_file_while_one_is_opened(tmp_path, monkeypatch, where):
    """A store that is garbage collected here closes and opens files on the same thread, within the same lock."""
    for name in ("first", "second"):
        (tmp_path / name).touch()
    nested = []

    def finalizer() -> None:
        if not nested:
            nested.append(None)
            nested.append(wal_index.hold(str(tmp_path / "second")))

    registered, made = wal_index._registered, wal_index.OpenFile
    with monkeypatch.context() as patched:
        if where == "between":
            patched.setattr(wal_index, "_registered", lambda: (finalizer(), registered())[1])
        else:
            patched.setattr(wal_index, "OpenFile", lambda *args: (finalizer(), made(*args))[1])
        held = wal_index.hold(str(tmp_path / "first"))
    status = os.stat(tmp_path / "first")
    assert held.file.inode == (status.st_dev, status.st_ino) and held.file.inode != nested[1].file.inode
    for one in (held, nested[1]):
        assert os.fstat(one.number).st_ino == one.file.inode[1]
        wal_index.let_go(one, at_once=True)
    assert not wal_index._new
