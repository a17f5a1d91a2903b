"""Files that somebody put beside a database: opening it touches no other file, waits for nothing and says what is wrong."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from store import Store, recover, restore
from store.engines.sqlite.opening import companions, private_copy
from store.errors import StorageError, StoreError
from store.importers import import_into

from . import planted
from .planted import beside

KEY = b"the key of these tests"
EVERYBODYS = tempfile.gettempdir()  # the machine's; each test has a temporary folder of its own
SUFFIXES = ["-journal", "-wal", "-shm", ".lock", ".changes", ".access", ".activity", "-network", "-open", "-spill", "-locks"]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file that none of this concerns; afterwards it is as it was, and no other one was made."""
    (tmp_path / "of").mkdir()
    file = tmp_path / "of" / "thesis"
    file.write_text("precious")
    yield file
    for place in tmp_path.rglob("*-journal"):  # what looks at the stores after each test would open it
        place.unlink()
    assert file.read_text() == "precious"
    assert list(file.parent.iterdir()) == [file]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "app.db"
    path.parent.mkdir()
    with Store(path, key=KEY) as s:
        s["x"] = 1
    return path


@pytest.fixture
def sticky(database: Path) -> Path:
    """The same, where all users can make files."""
    database.parent.chmod(0o1777)
    return database


def test_sqlite_deletes_the_file_that_a_journal_names(tmp_path: Path, database: Path) -> None:
    """The control: what the others show is that this does not happen."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted.super_journal(beside(database, "-journal"), database, victim)
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("SELECT * FROM sqlite_schema").fetchall()
    assert not victim.exists()


@pytest.mark.parametrize("mode", ["r", "w", "c", "n"])
def test_journal_that_names_a_file_is_an_error_and_stays(mode: Any, database: Path, victim: Path) -> None:
    journal = beside(database, "-journal")
    planted.super_journal(journal, database, victim)
    before = journal.read_bytes()
    with pytest.raises(StorageError, match="names another file") as raised:
        Store(database, mode=mode, key=KEY)
    assert raised.value.path == str(journal)
    assert journal.read_bytes() == before
    _, source, target = re.findall(r"`(mv) (\S+) (\S+)`", str(raised.value))[0]
    os.rename(source, target)
    with Store(database, mode=mode, key=KEY) as s:
        assert s.get("x") == (None if mode == "n" else 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", planted.OTHERS)
def test_what_is_no_regular_file_is_an_error(suffix: str, kind: Any, database: Path, victim: Path) -> None:
    place = beside(database, suffix)
    with suppress(FileNotFoundError):
        place.unlink()
    kind(place, database, victim)
    for mode in ("r", "w"):
        with pytest.raises(StorageError) as raised:
            Store(database, mode=mode, key=KEY)  # type: ignore[arg-type]
        assert str(place) in str(raised.value) and "ove it away" in str(raised.value)
    place.unlink()
    with Store(database, key=KEY) as s:
        assert s["x"] == 1


@pytest.mark.parametrize("suffix", SUFFIXES[:8])
def test_folder_in_the_place_of_a_file_is_an_error(suffix: str, database: Path) -> None:
    place = beside(database, suffix)
    with suppress(FileNotFoundError):
        place.unlink()
    place.mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        Store(database, key=KEY)
    place.rmdir()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", ".lock", "-journal"])
def test_hard_link_in_the_place_of_a_file_is_an_error(suffix: str, database: Path, victim: Path) -> None:
    with suppress(FileNotFoundError):
        beside(database, suffix).unlink()
    os.link(victim, beside(database, suffix))
    with pytest.raises(StorageError, match="hard links"):
        Store(database, key=KEY)
    beside(database, suffix).unlink()


@pytest.mark.parametrize("kind", [planted.super_journal, planted.pipe, planted.endless_link])
def test_every_way_to_a_store_looks_first(kind: Any, tmp_path: Path, database: Path, victim: Path) -> None:
    with Store(database, key=KEY) as s:
        s.backup(tmp_path / "copy.db")
    for path in (database, tmp_path / "copy.db"):
        kind(beside(path, "-journal"), path, victim)
    other = tmp_path / "new.db"
    for way in (
        lambda: restore(database, other),
        lambda: restore(tmp_path / "copy.db", other),
        lambda: recover(database, other, key=KEY),
        lambda: _imported("sqlitedict", database, other),
    ):
        with pytest.raises(StoreError):
            way()
        other.unlink(missing_ok=True)
    beside(database, "-journal").unlink()
    with Store(database, key=KEY) as s, pytest.raises(StorageError):
        s.backup(tmp_path / "copy.db")
    beside(tmp_path / "copy.db", "-journal").unlink()


COMMANDS = [
    "get DB x", "ls DB", "verify DB", "info DB", "inspect DB x", "backup DB NEW", "recover DB NEW", "restore DB NEW",
    "import sqlitedict DB NEW", "import dbm DB NEW", "export jsonl DB NEW", "set DB x 1", "rm DB x", "compact DB",
]  # fmt: skip


@pytest.mark.slow
def test_every_command_leaves_the_named_file_alone(tmp_path: Path, database: Path, victim: Path) -> None:
    journal = beside(database, "-journal")
    planted.super_journal(journal, database, victim)
    before = journal.read_bytes()
    script = "import sys, shlex\nfrom store.cli import main\n"
    script += "for line in sys.stdin:\n    print('left', main(shlex.split(line)))\n"
    lines = [c.replace("DB", str(database)).replace("NEW", str(tmp_path / "new")) for c in COMMANDS]
    run = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(lines), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stdout.count("left 1") == len(COMMANDS), run.stdout + run.stderr
    assert journal.read_bytes() == before
    journal.unlink()


def sqlitedict(folder: Path) -> tuple[Path, Path]:
    return _filled(
        folder / "d.sqlite", "CREATE TABLE unnamed (key TEXT PRIMARY KEY, value BLOB)"
    ), folder / "d.sqlite"


def dbm_sqlite3(folder: Path) -> tuple[Path, Path]:
    script = "CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
    return _filled(folder / "d.db", script), folder / "d.db"


def diskcache(folder: Path) -> tuple[Path, Path]:
    script = (
        "CREATE TABLE Settings (key TEXT, value); "
        "CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, expire_time REAL, mode INTEGER, "
        "filename TEXT, value BLOB)"
    )
    return folder, _filled(folder / "cache.db", script)


def _filled(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(script)
    return path


def _imported(kind: str, source: Path, target: Path) -> None:
    with Store(target, key=KEY) as s:
        list(import_into(s, kind, source))


SOURCES = {"sqlitedict": sqlitedict, "dbm": dbm_sqlite3, "diskcache": diskcache}


@pytest.mark.parametrize("kind", [planted.super_journal, *planted.OTHERS])
@pytest.mark.parametrize("source", SOURCES)
def test_importers_look_first(source: str, kind: Any, tmp_path: Path, victim: Path) -> None:
    (tmp_path / "in").mkdir()
    path, file = SOURCES[source](tmp_path / "in")
    kind(beside(file, "-journal"), file, victim)
    with pytest.raises(StorageError):
        _imported(source, path, tmp_path / "new.db")
    beside(file, "-journal").unlink()
    _imported(source, path, tmp_path / "new.db")


def test_copies_name_no_file(tmp_path: Path, database: Path, victim: Path) -> None:
    """Whatever comes between the look and the copy."""
    journal, copy = beside(database, "-journal"), tmp_path / "copy-journal"
    planted.super_journal(journal, database, victim)
    private_copy.copy_file(str(journal), str(copy))
    assert not copy.read_bytes().endswith(planted.MAGIC)
    journal.write_bytes(journal.read_bytes() + planted.MAGIC)
    private_copy.copy_file(str(journal), str(copy))
    assert not copy.read_bytes().endswith(planted.MAGIC)


# -- what comes after the look


class Planter:
    """Plants a journal before the statement of that number, where none lies: in a sticky folder nobody replaces one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: Path, victim: Path) -> None:
        self.at, self.steps, self.planted = -1, 0, False
        connect = sqlite3.connect
        planter = self

        class Connection(sqlite3.Connection):
            def execute(self, *args: Any) -> Any:
                planter.step(database, victim)
                return super().execute(*args)

        monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, factory=Connection, **more))

    def step(self, database: Path, victim: Path) -> None:
        if self.steps == self.at:
            with suppress(FileExistsError, FileNotFoundError):
                content = planted.journal_naming(database, victim)
                with open(beside(database, "-journal"), "xb") as file:
                    file.write(content)
                self.planted = True
        self.steps += 1

    def everywhere(self, work: Callable[[], object], clean: Callable[[], object]) -> Iterator[int]:
        """Does the work with a journal planted at each step of it in turn."""
        for at in range(1000):
            self.at, self.steps, self.planted = at, 0, False
            with suppress(StoreError):
                work()
            if self.steps <= at:
                return
            self.at = -1
            clean()
            yield at


@pytest.mark.parametrize("rights", [0o1777, 0o777, 0o2775])
@pytest.mark.parametrize("mode", ["r", "w"])
def test_journal_that_comes_after_the_look(
    mode: Any, rights: int, database: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.parent.chmod(rights)
    planter = Planter(monkeypatch, database, victim)

    def work() -> None:
        with Store(database, mode=mode, key=KEY) as s:
            assert s["x"] == 1
            if mode == "w":
                s["y"] = 2

    tried = list(planter.everywhere(work, lambda: beside(database, "-journal").unlink(missing_ok=True)))
    assert len(tried) > 5 and victim.exists()


def test_journal_that_comes_after_the_look_would_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests here: without the guard a victim is deleted, by who makes a store."""
    database = tmp_path / "in" / "app.db"
    database.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(companions, "is_exposed", lambda _: False)
    planter = Planter(monkeypatch, database, victim)

    def clean() -> None:
        for file in database.parent.iterdir():
            file.unlink()

    for _ in planter.everywhere(lambda: Store(database, key=KEY).close(), clean):
        if not victim.exists():
            return
    pytest.fail("no victim was deleted")


@pytest.mark.slow
def test_journal_that_comes_while_a_store_is_made(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in" / "app.db"
    path.parent.mkdir()
    path.parent.chmod(0o1777)
    planter = Planter(monkeypatch, path, victim)

    def clean() -> None:
        assert victim.exists()
        for file in path.parent.iterdir():
            file.unlink()

    assert len(list(planter.everywhere(lambda: Store(path, key=KEY).close(), clean))) > 10


@pytest.mark.parametrize("suffix", ["", "-partial"])
@pytest.mark.slow
def test_journal_that_comes_while_a_backup_is_made(
    suffix: str, tmp_path: Path, database: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "to" / "copy.db"
    target.parent.mkdir()
    target.parent.chmod(0o1777)
    with Store(database, key=KEY) as s:
        s.backup(target)
        planter = Planter(monkeypatch, beside(target, suffix), victim)

        def clean() -> None:
            assert victim.exists(), f"before statement {planter.at}"
            beside(target, f"{suffix}-journal").unlink(missing_ok=True)

        assert len(list(planter.everywhere(lambda: s.backup(target), clean))) > 5


# -- network mode


def test_network_mode_keeps_a_journal_where_others_could_make_one(
    sticky: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    planter = Planter(monkeypatch, sticky, victim)

    def work() -> None:
        with Store(sticky, key=KEY) as s:
            assert s["x"] == 1
            s["y"] = 2
            assert s["y"] == 2

    for _ in planter.everywhere(work, lambda: planter.planted and beside(sticky, "-journal").unlink(missing_ok=True)):
        assert victim.exists()
    assert beside(sticky, "-journal").exists()


def test_network_mode_looks_before_each_transaction(
    database: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    journal = beside(database, "-journal")
    with Store(database, key=KEY) as s:
        s["y"] = 2
        journal.unlink()
        planted.super_journal(journal, database, victim)
        for work in (lambda: s["y"], lambda: s.update(z=3)):
            with pytest.raises(StorageError, match="names another file"):
                work()
        journal.rename(beside(database, ".away"))
        s["z"] = 3
        assert dict(s) == {"x": 1, "y": 2, "z": 3}


def test_network_mode_is_refused_where_all_can_replace_its_journal(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    database.parent.chmod(0o777)
    with pytest.raises(StorageError, match=f"chmod go-w {database.parent}"), Store(database, key=KEY) as s:
        s["y"] = 2
    database.parent.chmod(0o755)
    with Store(database, key=KEY) as s:
        s["y"] = 2


# -- journals of killed programs


def _left_by_a_killed_program(path: Path) -> None:
    """Half a transaction of another program, without a log, and its journal."""
    script = (
        "import os, sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = DELETE')\nc.execute('PRAGMA cache_size = 1')\nc.execute('BEGIN IMMEDIATE')\n"
        "c.execute('CREATE TABLE t (x)')\nfor _ in range(99): c.execute('INSERT INTO t VALUES (randomblob(4000))')\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)
    assert beside(path, "-journal").stat().st_size > 512


def test_journal_of_a_killed_program_is_applied(sticky: Path) -> None:
    _left_by_a_killed_program(sticky)
    with Store(sticky, mode="r", key=KEY) as s:
        assert s["x"] == 1
    with Store(sticky, key=KEY) as s:
        assert dict(s) == {"x": 1}


def test_journal_that_all_can_replace_is_not_applied(database: Path) -> None:
    _left_by_a_killed_program(database)
    database.parent.chmod(0o777)
    with Store(database, mode="r", key=KEY) as s:  # by a copy
        assert s["x"] == 1
    with pytest.raises(StorageError, match=f"chmod go-w {database.parent}"):
        Store(database, key=KEY)
    database.parent.chmod(0o755)
    with Store(database, key=KEY) as s:
        assert dict(s) == {"x": 1}


# -- several users

AS_USER = """
import os, sys
from store import Store, errors
import filelock, store.codecs.restricted.machine, store.engines.sqlite.backend
with Store(":memory:", key=b"the key of these tests") as s: s["x"] = 1
path, mode, uid, *gids = sys.argv[1:]
os.umask(0o002)
os.setgroups([int(gid) for gid in gids]); os.setgid(int(gids[0]) if gids else int(uid)); os.setuid(int(uid))
try:
    s = Store(path, mode=mode, key=b"the key of these tests")
    if mode != "r":
        s["by" + uid] = 1
    print(len(s), flush=True)
    sys.stdin.read()
    if mode != "r":
        s["again" + uid] = 1
    s.close()
except errors.StoreError as exc:
    print(type(exc).__name__, exc)
"""

MALLORY, ALICE, BOB, CAROL, GROUP = 65501, 65502, 65503, 65504, 65510


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can reach."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can act as several users")
    with tempfile.TemporaryDirectory(prefix="store-users-", dir=EVERYBODYS) as name:
        Path(name).chmod(0o755)
        (Path(name) / "in").mkdir()
        yield Path(name) / "in"


def as_user(path: Path, mode: str, uid: int, *gids: int) -> subprocess.Popen[str]:
    arguments = [str(path), mode, str(uid), *map(str, gids)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", AS_USER, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.heavy
def test_group_shares_a_store(shared: Path) -> None:
    os.chown(shared, ALICE, GROUP)
    shared.chmod(0o2770)
    path, running = shared / "app.db", []
    assert as_user(path, "c", ALICE, GROUP).communicate(timeout=60)[0].strip() == "1"
    path.chmod(0o660)  # as SQLite gives its log, and files of ours, the rights of the database
    beside(path, ".lock").chmod(0o660)
    try:
        for count, (mode, uid) in enumerate([("w", BOB), ("w", CAROL), ("w", ALICE), ("r", ALICE)], 3):
            running.append(as_user(path, mode, uid, GROUP))
            assert running[-1].stdout is not None
            assert running[-1].stdout.readline().strip() == str(min(count, 4))
    finally:
        said = [process.communicate(timeout=60)[0] for process in running]
    assert said == [""] * 4
    assert as_user(path, "r", CAROL, GROUP).communicate(timeout=60)[0].strip() == "6"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.slow
def test_what_another_user_planted_in_a_sticky_folder_is_an_error(suffix: str, shared: Path) -> None:
    shared.chmod(0o1777)
    path = shared / "app.db"
    assert as_user(path, "c", ALICE).communicate(timeout=60)[0].strip() == "1"
    place = beside(path, suffix)
    with suppress(FileNotFoundError):
        place.unlink()
    place.mkdir() if suffix in SUFFIXES[-2:] else place.touch()
    os.chown(place, MALLORY, MALLORY)
    said = as_user(path, "w", ALICE).communicate(timeout=60)[0]
    assert said.startswith(f"StorageError {place} belongs to user {MALLORY}"), said
    place.rmdir() if suffix in SUFFIXES[-2:] else place.unlink()  # as root, as the error says
    assert as_user(path, "w", ALICE).communicate(timeout=60)[0].strip() == "2"


# -- what comes once it is open, and systems without the locks of `guarded`


def test_lock_file_that_became_a_pipe_is_an_error(database: Path) -> None:
    with Store(database, key=KEY) as s:
        beside(database, ".lock").unlink()
        os.mkfifo(beside(database, ".lock"))
        with pytest.raises(StorageError, match="move it away"):
            s["y"] = 2
        beside(database, ".lock").unlink()
        s["y"] = 2


def test_folder_of_named_locks_that_is_a_link_is_not_followed(database: Path, victim: Path) -> None:
    with Store(database, key=KEY) as s:
        beside(database, "-locks").symlink_to(victim.parent)
        with pytest.raises(StorageError, match="move it away"), s.lock("a"):
            pass
        beside(database, "-locks").unlink()
        with s.lock("a"):
            pass


def test_folder_of_all_is_refused_where_no_lock_keeps_a_journal_away(
    sticky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.system.range_locks.AVAILABLE", False)
    with pytest.raises(StorageError, match=f"chmod o-w {sticky.parent}"):
        Store(sticky, key=KEY)
    sticky.parent.chmod(0o1775)
    with Store(sticky, key=KEY) as s:
        assert s["x"] == 1
