"""Network mode, forced on a local disk: no WAL, every transaction under the writer's lock, and all agree on it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.care.backup import restore
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.opening import network as sqlite_network
from store.errors import LockTimeout, StorageError
from store.system.mounts import Mount

TIMEOUT = 60.0  # seconds


@pytest.fixture(autouse=True)
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")


@pytest.fixture
def s(path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path, spill_bytes=1000, timeout=5) as opened:
        yield opened


def beside(path: Path) -> set[str]:
    return {file.name.removeprefix(path.name) for file in path.parent.iterdir() if file.name.startswith(path.name)}


def other_process(path: Path, source: str, **variables: str) -> subprocess.CompletedProcess[str]:
    source = f"import os, sys\nfrom store import Store\npath = sys.argv[1]\n{textwrap.dedent(source)}"
    return subprocess.run(
        [sys.executable, "-c", source, str(path)],
        env=os.environ | variables, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip


class TestFile:
    def test_has_a_rollback_journal(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        s["b"] = b"x" * 5000
        assert (s["a"], len(s)) == (1, 2)
        assert beside(path) == {"", "-journal", "-network", "-spill", ".lock"}
        conn = s.opened.engine.handle.engine.connection().conn
        assert [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")] == [
            "persist",
            2,
        ]

    def test_is_not_cached_nor_mapped(self, s: Store[Any], path: Path) -> None:
        numpy = pytest.importorskip("numpy")
        assert s.opened.engine.coherence.index() is None
        s["a"] = numpy.arange(1000)
        array = s["a"]
        (path.parent / "app.db-spill" / os.listdir(f"{path}-spill")[0]).write_bytes(b"")  # as a server may
        assert array.sum() == 499500  # and does not end the process
        del s["a"]

    def test_gives_up_files_at_once(self, s: Store[Any], path: Path) -> None:
        s["a"] = b"x" * 5000
        s["a"] = b"y" * 5000
        assert len(os.listdir(f"{path}-spill")) == 2
        assert s.compact().files == 1
        assert len(os.listdir(f"{path}-spill")) == 1
        assert s["a"] == b"y" * 5000

    def test_gives_up_files_as_it_is_written(
        self, s: Store[Any], path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_checkpoints, "DROPPED_BYTES", 10_000)
        for i in range(10):
            s["a"] = bytes([i]) * 5000
        assert len(os.listdir(f"{path}-spill")) <= 4

    @pytest.mark.orphans
    def test_keeps_files_that_another_machine_may_be_writing(self, s: Store[Any], path: Path) -> None:
        s["a"] = b"x" * 5000
        file = os.listdir(f"{path}-spill")[0]
        shutil.copy(f"{path}-spill/{file}", f"{path}-spill/{file.partition('-')[0]}-{'0' * 32}")
        assert (s.compact().orphans, s.verify().orphans) == (0, [])
        assert len(os.listdir(f"{path}-spill")) == 2

    def test_works_as_any_other(self, s: Store[Any], path: Path) -> None:
        s.update({f"n{i}": i for i in range(600)})
        assert list(s.values()) == list(range(600))
        with s.transaction():
            s["n0"] = "changed"
            with s.edit("list", []) as value:
                value.append(s["n0"])
            assert s.get_many(["n0", "list"]) == {"n0": "changed", "list": ["changed"]}
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["n1"] = "lost"
            raise ZeroDivisionError
        assert (s["n1"], s.popitem(), s.verify().sealed) == (1, ("list", ["changed"]), 600)
        s.clear()
        assert not s

    @pytest.mark.slow
    def test_is_backed_up_and_restored(self, s: Store[Any], path: Path) -> None:
        s.update(a=1, large=b"x" * 5000)
        s.backup(path.parent / "backup.db")
        s.update(a=2, large=b"y" * 5000, more=3)
        restore(path.parent / "backup.db", path)
        assert dict(s) == {"a": 1, "large": b"x" * 5000}
        s.compact()
        s["b"] = 1
        assert other_process(path, "with Store(path) as s: print(s['b'])").stdout == "1\n"
        assert not os.path.exists(f"{path}-wal")
        with Store[Any](path.parent / "backup.db", mode="r") as backup:
            assert dict(backup) == {"a": 1, "large": b"x" * 5000}

    @pytest.mark.slow
    def test_is_watched(self, s: Store[Any], path: Path) -> None:
        with s.watch(timeout=0) as watch:
            assert other_process(path, "with Store(path) as s: s['a'] = 1").stderr == ""
            assert [change.name for change in watch] == ["a"]
            with s.transaction():
                pass
            assert list(watch) == []


class TestLock:
    @pytest.mark.slow
    def test_is_taken_by_reads(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        ran = """
            with Store(path, timeout=0.1, mode=sys.argv[2] if sys.argv[2:] else "w") as s:
                os.write(1, b"opened\\n")
                sys.stdin.readline()
                try:
                    print(s["a"])
                except TimeoutError:
                    print("stayed out")
        """
        source = f"import os, sys\nfrom store import Store\npath = sys.argv[1]\n{textwrap.dedent(ran)}"
        children = [
            subprocess.Popen(
                [sys.executable, "-c", source, str(path), mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for mode in "wr"
        ]
        try:
            for child in children:
                assert child.stdout.readline() == "opened\n"
            with s.transaction():
                s["a"] = 2
                assert [child.communicate("go\n", timeout=TIMEOUT)[0] for child in children] == ["stayed out\n"] * 2
        finally:
            for child in children:
                child.kill()
                child.communicate()

    def test_that_a_reader_may_not_take_is_sqlites_own(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        os.rename(f"{path}.lock", f"{path}.away")
        with Store[Any](path, mode="r", timeout=0.1) as reader:
            assert dict(reader) == {"a": 1}
            assert not os.path.exists(f"{path}.lock")  # writers of another user could not open one of ours
            with s.transaction():
                s["a"] = 2
                assert reader["a"] == 1
            assert reader["a"] == 2

    def test_is_not_waited_for_by_the_thread_that_keeps_it(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        with Store[Any](path, mode="r", timeout=1e6) as reader:
            with s.transaction(), pytest.raises(LockTimeout, match="this thread keeps the lock already"):
                reader["a"]
            assert reader["a"] == 1

    @pytest.mark.slow
    def test_is_given_back_after_an_error_of_a_read(self, s: Store[Any], path: Path) -> None:
        with pytest.raises(KeyError):
            s["none"]
        assert other_process(path, "with Store(path, timeout=0.5) as s: s['a'] = 1").stderr == ""


class TestAgreement:
    @pytest.mark.slow
    def test_of_a_program_to_whom_the_file_is_local(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        done = other_process(
            path, "with Store(path) as s: s['a'] += 1; print(s.opened.engine.handle.engine.strategy.locks_reads)", STORE_NETWORK=""
        )
        assert (done.stdout, done.stderr) == ("True\n", "")
        assert s["a"] == 2
        assert not os.path.exists(f"{path}-wal")

    def test_ends_with_the_mark(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Store[Any](path) as s:
            s["a"] = 1
        monkeypatch.setenv("STORE_NETWORK", "0")
        with Store[Any](path) as s:
            assert s["a"] == 1
            assert beside(path) >= {"-wal", "-shm"}
            assert not beside(path) & {"-network", "-journal"}
        monkeypatch.setenv("STORE_NETWORK", "")
        with Store[Any](path) as s:
            assert not s.opened.engine.handle.engine.strategy.locks_reads

    @pytest.mark.slow
    def test_turns_a_wal_into_a_journal(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = "s = Store(path); s['a'] = 1; os.kill(os.getpid(), 9)"  # what it wrote is in the WAL only
        assert other_process(path, source, STORE_NETWORK="").returncode == -signal.SIGKILL
        assert os.path.getsize(f"{path}-wal")
        with Store[Any](path) as s:
            assert s["a"] == 1
        assert beside(path) == {"", "-journal", "-network", ".lock", ".changes", "-shm"} - ({"-shm"} - beside(path))

    @pytest.mark.parametrize("mode", ["c", "r"])
    @pytest.mark.slow
    def test_is_refused_while_somebody_has_a_wal(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        monkeypatch.setenv("STORE_NETWORK", "")
        with Store[Any](path) as s:
            s["a"] = 1
            source = f"Store(path, mode={mode!r}, timeout=0.1)"
            done = other_process(path, source, STORE_NETWORK="1")
            assert "StorageError" in done.stderr
            assert "close it" in done.stderr
            assert "-network" not in beside(path)
            s["a"] = 2  # and it goes on
            assert s["a"] == 2

    @pytest.mark.slow
    def test_is_refused_to_a_wal_while_somebody_writes(self, s: Store[Any], path: Path) -> None:
        with s.transaction():
            s["a"] = 1
            done = other_process(path, "Store(path, timeout=0.1)", STORE_NETWORK="0")
        assert "LockTimeout" in done.stderr
        assert s["a"] == 1

    def test_that_another_program_broke_is_noticed(self, s: Store[Any], path: Path) -> None:
        s["a"] = 1
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute("UPDATE records SET name = name")
            conn.commit()
            for call in (lambda: s["a"], lambda: s.__setitem__("a", 2)):
                with pytest.raises(StorageError, match="write-ahead log"):
                    call()

    @pytest.mark.slow
    def test_that_came_while_a_local_store_had_no_connection(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STORE_NETWORK", "")
        with Store[Any](path) as s:
            s["a"] = 1
            s.opened.engine.handle.engine.pool.close_idle(1.0)  # as before a fork
            assert other_process(path, "with Store(path) as s: s['a'] = 2", STORE_NETWORK="1").stderr == ""
            with pytest.raises(StorageError, match="network mode"):
                s["a"]
        with Store[Any](path) as s:
            assert s["a"] == 2


def test_reader_of_a_closed_wal_reads_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published on a share that may not be written, say."""
    monkeypatch.setenv("STORE_NETWORK", "0")
    with Store[Any](path) as s:
        s["a"] = 1
    before = path.read_bytes()
    monkeypatch.setenv("STORE_NETWORK", "1")
    with Store[Any](path, mode="r") as s:
        assert dict(s) == {"a": 1}
    assert path.read_bytes() == before
    assert beside(path) == {"", ".lock", ".changes"}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.slow
def test_writer_killed_with_half_its_pages_in_the_database(path: Path) -> None:
    """More than SQLite's page cache holds: it has written over the database, and only the journal knows what was."""
    old = {str(i): bytes([i]) * 20_000 for i in range(200)}
    with Store[Any](path) as s:
        s.update(old)
    with Store[Any](path, mode="r", timeout=5) as reader:
        assert reader["0"] == old["0"]
        pid = os.fork()
        if not pid:
            with Store[Any](path) as s, s.transaction():
                s.update(dict.fromkeys(old, b"\xff" * 20_000))
                os.kill(os.getpid(), signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert any(Path(f"{path}-journal").read_bytes()[:8])
        assert b"\xff" * 1000 in path.read_bytes()
        with pytest.raises(StorageError, match='mode="w"'):
            reader["0"]
    with Store[Any](path, mode="r") as reader:  # of a copy, which is healed
        assert dict(reader) == old
    assert b"\xff" * 1000 in path.read_bytes()
    with Store[Any](path, timeout=5) as s:
        assert dict(s) == old


def test_mode_that_the_variable_does_not_know(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_NETWORK", "yes")
    with pytest.raises(ValueError, match="STORE_NETWORK is 1"):
        Store(path)
    assert not path.exists()


@pytest.mark.parametrize(("kind", "expected"), [("nfs4", True), ("ext4", False)])
def test_mode_by_the_table_of_mounts(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, expected: bool) -> None:
    monkeypatch.setenv("STORE_NETWORK", "")
    monkeypatch.setattr(sqlite_network, "mount_of", lambda path: Mount("/", kind))
    with Store[Any](path) as s:
        s["a"] = 1
        assert os.path.exists(f"{path}-wal") != expected


def test_locks_that_do_not_reach_the_server_are_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_NETWORK", "")
    monkeypatch.setattr(sqlite_network, "mount_of", lambda path: Mount("/", "nfs", frozenset({"nolock"})))
    with pytest.warns(UserWarning, match="nolock"):
        Store(path).close()
    with warnings.catch_warnings():
        monkeypatch.setattr(sqlite_network, "mount_of", lambda path: Mount("/", "nfs"))
        Store(path).close()


# -- a FUSE mount and the folder that it shows


@pytest.fixture
def bindfs(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, Path]]]:
    """`bindfs(*options)`: a folder, and where FUSE shows it."""
    below, above = tmp_path / "below", tmp_path / "above"
    below.mkdir()
    above.mkdir()
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed: locks through FUSE were NOT tried")

    def mounted(*options: str) -> tuple[Path, Path]:
        done = subprocess.run(["bindfs", *options, below, above], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"bindfs cannot mount here, so locks through FUSE were NOT tried: {done.stderr.strip()}")
        return below, above

    yield mounted
    wal_index.release_unused(keep=0)
    subprocess.run(["umount", above], check=False, capture_output=True)


@pytest.mark.parametrize("first", ["below", "above"])
def test_fuse_mount_that_keeps_locks_to_itself_is_warned_of(
    bindfs: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "")
    below, above = bindfs()
    if first == "below":
        Store(below / "x.db").close()
    with pytest.warns(
        UserWarning, match=r"above.x\.db can be opened as .*below.x\.db.*use one of the two paths alone"
    ):
        Store(above / "x.db").close()
    with pytest.warns(UserWarning, match=r"below.x\.db can be opened as .*above.x\.db"):
        Store(below / "x.db").close()
    assert sorted(file.name for file in below.iterdir() if "store-" in file.name) == []


def test_fuse_mount_that_passes_locks_on(
    bindfs: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "")
    below, above = bindfs("--multithreaded", "--enable-lock-forwarding")
    for folder in (above, below):
        with Store(folder / "x.db") as s:  # a warning is an error in the tests
            s[folder.name] = 1
            assert s.opened.engine.handle.engine.strategy.locks_reads
