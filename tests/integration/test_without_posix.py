"""The core on a system without what only POSIX has: each program here runs where that is hidden.

It is no Windows: the file system, SQLite's own locks and paths are those of this machine. What is tried is that no
name is asked for that Windows lacks, that no folder is opened, and that no file which is open here is replaced or
removed. filelock's lock stands for the one that it takes on Windows.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from store import Store

HIDING = '''
import asyncio, concurrent.futures, filelock, multiprocessing, pathlib, platformdirs, secrets, shutil, signal, sqlite3
import stat, subprocess, tempfile, uuid, mmap, os, sys

filelock.lock_descriptor, platformdirs.user_data_path("x")

MODULES = "fcntl pwd grp resource termios posix_ipc"
NAMES = """
register_at_fork fork forkpty O_NOFOLLOW O_CLOEXEC O_DIRECTORY O_NONBLOCK O_SYNC O_DSYNC O_NOCTTY fchmod fchown chown
lchown getuid geteuid getgid getegid getgroups pread preadv pwrite pwritev readv writev sched_yield statvfs fstatvfs
ST_RDONLY pathconf fpathconf mkfifo mknod fchdir chroot killpg setsid posix_fadvise posix_fallocate lockf F_LOCK
"""
for name in MODULES.split():
    sys.modules[name] = None
for name in NAMES.split():
    if hasattr(os, name):
        delattr(os, name)
for name in "MAP_SHARED MAP_PRIVATE MAP_ANONYMOUS MAP_ANON PROT_READ PROT_WRITE".split():
    if hasattr(mmap, name):
        delattr(mmap, name)
for name in "SIGKILL SIGUSR1 SIGALRM setitimer pthread_sigmask".split():
    if hasattr(signal, name):
        delattr(signal, name)
os.supports_dir_fd, os.supports_fd = set(), {os.stat, os.truncate}
shutil._use_fd_functions = False

def is_open(path):
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.stat(int(number)), os.stat(path)):
                return True
        except OSError:
            pass
    return False

def hide(name, check):
    plain = getattr(os, name)
    def hidden(*args, **options):
        if any(options.pop(option, None) is not None for option in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            raise NotImplementedError(f"{name}: dir_fd unavailable on this platform")
        check(*args)
        return plain(*args, **options)
    setattr(os, name, hidden)

def no_folder(path, *_):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)

def no_number(target, *_):
    if isinstance(target, int):
        raise TypeError("should be string, bytes or os.PathLike, not int")

def not_open(path, *_):
    if is_open(path):
        raise PermissionError(13, "The process cannot access the file because it is being used by another process", path)

def neither_open(path, target, *_):
    not_open(path)
    if os.path.exists(target):
        not_open(target)

def no_replacing(path, target, *_):
    if os.path.exists(target):
        raise FileExistsError(17, "Cannot create a file when that file already exists", target)
    not_open(path)

def writable(descriptor):
    with open(f"/proc/self/fdinfo/{descriptor}") as file:
        if int(file.read().split("flags:")[1].split()[0], 8) & 3 == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")

hide("fsync", writable)
hide("open", no_folder)
hide("listdir", no_number)
hide("chmod", no_number)
hide("stat", lambda *_: None)
hide("unlink", not_open)
hide("remove", not_open)
hide("rename", no_replacing)
hide("replace", neither_open)
hide("link", lambda *_: None)
import store
path = sys.argv[1]
'''

Run = Callable[..., str]


def program(source: str) -> str:
    return HIDING + textwrap.dedent(source)


@pytest.fixture
def run(path: Path) -> Run:
    def run(source: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program(source), str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.mark.slow
def test_names_are_hidden(run: Run) -> None:
    """Else nothing here would be tried."""
    hidden = run("print([n for n in ('fork', 'O_NOFOLLOW', 'geteuid', 'pread') if hasattr(os, n)], sys.modules['fcntl'])")
    assert hidden == "[] None\n"


@pytest.mark.slow
def test_records(run: Run) -> None:
    run("""
        with store.Store(path) as s:
            s["a"] = {"x": 1}
            s.update(b=2, c=[3])
            assert (s["a"], s["b"], len(s), list(s)) == ({"x": 1}, 2, 3, ["a", "b", "c"])
            with s.edit("a") as value:
                value["x"] += 1
            with s.transaction():
                s["d"] = 4
                del s["b"]
            try:
                with s.transaction():
                    s["d"] = 5
                    raise KeyError
            except KeyError:
                pass
            assert s.modify("d", lambda value: value + 1) == 5
            assert s.get_many(["a", "d"]) == {"a": {"x": 2}, "d": 5}
            assert s.pop("c") == [3] and s.record("d").revision == 2
        with store.Store(path, mode="r") as s:
            assert dict(s) == {"a": {"x": 2}, "d": 5}
        with store.Store(path, durability="full") as s:
            s.clear()
            assert s.verify().sealed == 0
    """)


@pytest.mark.slow
def test_cached_reads_see_what_others_write(run: Run) -> None:
    run("""
        with store.Store(path) as s, store.Store(path) as other:
            for number in range(10):
                other["a"] = number
                assert s["a"] == s["a"] == number
    """)


@pytest.mark.slow
def test_large_values(run: Run) -> None:
    run("""
        with store.Store(path, spill_bytes=1000) as s:
            s["a"] = b"x" * 5000
            assert s["a"] == b"x" * 5000
            s["a"] = b"y" * 5000
            s["b"] = b"z" * 9_000_000
            assert s["b"] == b"z" * 9_000_000
            del s["b"]
            assert s.verify().damage == []
            assert s.compact().files == 2
            assert len(os.listdir(path + "-spill")) == 1
        with store.Store(path, mode="r") as s:
            assert s["a"] == b"y" * 5000
    """)


@pytest.mark.slow
def test_named_lock_watch_and_purge(run: Run) -> None:
    run("""
        import threading
        with store.Store(path) as s:
            with s.lock("job", timeout=1):
                s["a"] = 1
            with s.watch(["b"], timeout=60, interval=0.01) as changes:
                threading.Thread(target=s.__setitem__, args=("b", 2)).start()
                assert next(changes).name == "b"
            s.put("c", 3, ttl=0.001)
            while "c" in s:
                pass
            s.purge()
            assert list(s) == ["a", "b"]
    """)


@pytest.mark.slow
def test_backup_and_restore(run: Run) -> None:
    run("""
        with store.Store(path, spill_bytes=1000) as s:
            s["a"], s["b"] = 1, b"x" * 5000
            s.backup(path + ".backup")
            s["a"] = 2
            s.backup(path + ".backup")
        store.restore(path + ".backup", path + ".new")
        with store.Store(path + ".new") as s:
            assert dict(s) == {"a": 2, "b": b"x" * 5000}
            s["a"] = 3
        store.restore(path + ".backup", path + ".new")
        with store.Store(path + ".new") as s:
            assert s["a"] == 2 and s.verify().damage == []
    """)


@pytest.mark.slow
def test_recover(run: Run) -> None:
    run("""
        with store.Store(path) as s:
            s["a"] = 1
        store.recover(path, path + ".new")
        with store.Store(path + ".new") as s:
            assert dict(s) == {"a": 1}
    """)


@pytest.mark.slow
def test_sessions_and_settings(run: Run) -> None:
    run("""
        from dataclasses import dataclass
        from store.sessions import Sessions
        from store.settings import Settings

        @dataclass
        class Prefs:
            size: int = 1

        with Sessions(path) as sessions:
            token = sessions.create({"user": 1})
            assert sessions.load(token) == {"user": 1}
        with Settings(Prefs, path + ".settings") as prefs:
            prefs.size = 2
        with Settings(Prefs, path + ".settings") as prefs:
            assert prefs.size == 2
    """)


@pytest.mark.slow
def test_keys_are_made_and_changed(run: Run) -> None:
    run("""
        from store.trust.keys.changing import add_key, retire_key
        from store.trust.keys.file import read_key_file
        from store.trust.keys.ring import default_key_file

        with store.Store(path, trust="own") as s:
            s["a"] = 1
        old, = read_key_file(default_key_file())
        add_key(default_key_file())
        retire_key(default_key_file(), old.id)
        with store.Store(path, trust="own") as s:
            assert s["a"] == 1
            s["b"] = 2
    """)


@pytest.mark.slow
def test_two_processes_write_at_once(path: Path) -> None:
    source = program("""
        print("ready", flush=True)
        sys.stdin.readline()
        with store.Store(path, timeout=60) as s:
            for number in range(100):
                s.modify("count", lambda value: value + 1, default=0)
                s[f"{sys.argv[2]} {number}"] = number
    """)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=100)
        assert process.returncode == 0
    with Store(path) as s:
        assert (s["count"], len(s)) == (200, 201)
