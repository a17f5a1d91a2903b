"""Other hands on the file: the program or another one reads, links or renames it, or removes what lies beside it.

Every write either is there for everybody or raised, and what another process wrote is wiped by nobody's close.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
import shutil
import sqlite3
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite.engine import log_files, shared_database, wal_index
from store.errors import LockTimeout, StorageError
from store.system import range_locks

from .conftest import Program

needs_range_locks = pytest.mark.skipif(
    not range_locks.AVAILABLE, reason="this system has no open file description locks: NOTHING here was tested"
)

ACTOR = """
import ast, os, sqlite3, sys
import store
from contextlib import closing
from store import Store
for line in sys.stdin:
    try:
        tree = ast.parse(ast.literal_eval(line))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "told", "exec"), globals())
        done = None if last is None else eval(compile(ast.Expression(last.value), "told", "eval"), globals())
        print(repr(done), flush=True)
    except Exception as exc:
        print(f"{type(exc).__name__}: {exc}", flush=True)
"""


class Actor:
    """A process that does what it is told, with `path` the store."""

    def __init__(self) -> None:
        self.program = Program(ACTOR, ())

    def does(self, source: str) -> str:
        """The `repr` of what its last expression gives, or `TypeName: message`."""
        self.program.tell(repr(source))
        return self.program.line()

    def visits(self, source: str) -> str:
        """The same, in a store that it opens for this alone."""
        lines = "".join(f"    {line}\n" for line in source.splitlines()[:-1])
        last = source.splitlines()[-1]
        return self.does(f"with Store(path, timeout=20) as v:\n{lines}    result = {last}\nresult")


@pytest.fixture(scope="module")
def company() -> Iterator[list[Actor]]:
    actors = [Actor(), Actor()]
    yield actors
    for actor in actors:
        actor.program.process.kill()
        actor.program.process.communicate(timeout=60)


@pytest.fixture
def actors(company: list[Actor], path: Path) -> Iterator[list[Actor]]:
    """Two other processes, of this user."""
    home = {name: os.environ[name] for name in ("HOME", "XDG_DATA_HOME", "TMPDIR")}
    for actor in company:
        assert actor.does(f"os.environ.update({home!r}); path = {str(path)!r}; s = v = None") == "None"
    yield company
    for actor in company:
        assert actor.does("s is None or s.close(); s = None") in ("None", "True"), "an actor's store does not close"


@pytest.fixture
def visitor(actors: list[Actor]) -> Actor:
    return actors[0]


# -- hands of the program itself


def by_reading(path: Path) -> None:
    path.read_bytes()


def by_copying(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{suffix}", f"{path}.copied{suffix}")


def by_zipping(path: Path) -> None:
    with zipfile.ZipFile(f"{path}.zip", "w") as target:
        target.write(path)


def by_hashing(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def by_linking(path: Path) -> None:
    os.link(path, f"{path}.link")
    Path(f"{path}.link").read_bytes()
    os.unlink(f"{path}.link")


def by_renaming(path: Path) -> None:
    os.rename(path, f"{path}.moved")
    os.rename(f"{path}.moved", path)
    path.read_bytes()


def by_reading_the_index(path: Path) -> None:
    path.read_bytes()
    Path(f"{path}-shm").read_bytes()


def by_another_library(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        try:
            library = importlib.import_module(name)
        except ImportError:
            pytest.skip(f"{name} is not installed: another SQLite library in the process was NOT tried")
        conn = library.Connection(str(path)) if name == "apsw" else library.connect(str(path))
        list(conn.cursor().execute("SELECT count(*) FROM records"))
        conn.close()

    return read


HANDS = {
    "read": by_reading, "copy": by_copying, "zip": by_zipping, "hash": by_hashing, "link": by_linking,
    "rename": by_renaming, "index": by_reading_the_index, "apsw": by_another_library("apsw"),
    "pysqlite3": by_another_library("pysqlite3"),
}  # fmt: skip

VISITS = {
    "read": "v['orders']",
    "write": "v.put('visit', 1)",
    "compact": "v.compact() and None",
    "backup": "v.backup(path + '.backup') and None",
    "sqlite3": "[c.execute('SELECT 1 FROM records').fetchall() and c.close() for c in [sqlite3.connect(path)]]",
}


@needs_range_locks
@pytest.mark.parametrize("durability", ["normal", "full"])
@pytest.mark.parametrize("hand", HANDS)
def test_writes_after_hands_of_the_program_are_there_for_everybody(
    path: Path, visitor: Actor, hand: str, durability: Any
) -> None:
    s: Store[Any] = Store(path, durability=durability)
    s["orders"] = []
    for number, visit in enumerate(VISITS.values()):
        HANDS[hand](path)
        assert "Error" not in visitor.visits(visit)
        s.modify("orders", lambda orders, number=number: [*orders, number])
        assert visitor.visits("v['orders']") == repr([*range(number + 1)])
    assert visitor.visits("v.update({f'o{i}': 'z' * 300 for i in range(150)})\nlen(v)") == "152"
    assert s["o149"] == "z" * 300
    HANDS[hand](path)
    s.close()
    assert visitor.visits("v['orders'], len(v)") == f"({[*range(len(VISITS))]}, 152)"
    assert not os.path.exists(f"{path}-wal")  # the last one has folded it in


@needs_range_locks
def test_three_processes_that_all_read_their_file(path: Path, actors: list[Actor]) -> None:
    with Store(path) as s:
        s["count"] = 0
        assert [actor.does("s = Store(path); s['count']") for actor in actors] == ["0", "0"]
        for turn in range(3):
            for actor in actors:
                assert actor.does("open(path, 'rb').close(); open(path + '-shm', 'rb').close()") == "None"
            path.read_bytes()
            leaving = actors[turn % 2]
            assert leaving.does("s.close(); s = Store(path); s.modify('count', lambda n: n + 1)") == str(3 * turn + 1)
            assert actors[1 - turn % 2].does("s.modify('count', lambda n: n + 1)") == str(3 * turn + 2)
            assert s.modify("count", lambda n: n + 1) == 3 * turn + 3
        with Store(path, mode="r") as reader:
            assert reader["count"] == 9
    for actor in actors:
        assert actor.does("s.modify('count', lambda n: n + 1); s.close(); s = None") == "None"
    with Store(path) as s:
        assert s["count"] == 11


@needs_range_locks
def test_process_that_only_reads_sees_what_comes_after(path: Path, actors: list[Actor]) -> None:
    with Store(path) as s:
        s["a"] = 0
    reader, writer = actors
    assert reader.does("s = Store(path, mode='r', clock=lambda: now); now = 1e9; s['a']") == "0"
    for number in range(1, 4):
        assert reader.does("open(path, 'rb').close()") == "None"
        assert writer.visits(f"v.put('a', {number})") != "None"
        assert reader.does("now += 2; s['a']") == str(number)


@needs_range_locks
def test_reader_of_a_database_without_a_log_that_gets_one(path: Path, visitor: Actor) -> None:
    """A backup has none until somebody opens it to write."""
    with Store(path.with_name("source.db")) as s:
        s["a"] = 1
        s.backup(path)
    now = 1e9
    with Store(path, mode="r", clock=lambda: now) as reader:
        assert reader["a"] == 1
        assert visitor.does("s = Store(path); s['a'] = 2") == "None"
        for number in range(3, 6):
            now += 2
            assert reader["a"] == number - 1
            path.read_bytes()
            visitor.does(f"s.close(); s = Store(path); s['a'] = {number}")


def test_network_mode_after_a_plain_read(path: Path, visitor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    visitor.does("os.environ['STORE_NETWORK'] = '1'")
    try:
        with Store(path) as s:
            s["a"] = [0]
            for number in range(1, 4):
                by_reading(path)
                assert visitor.visits("v.modify('a', lambda a: a + ['visitor'])[-1]") == "'visitor'"
                s.modify("a", lambda a, number=number: [*a, number])
            assert s["a"] == [0, "visitor", 1, "visitor", 2, "visitor", 3]
    finally:
        visitor.does("os.environ.pop('STORE_NETWORK')")


@needs_range_locks
def test_threads_that_read_the_file_all_the_time(path: Path, visitor: Actor) -> None:
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            path.read_bytes()
            with suppress(FileNotFoundError):
                Path(f"{path}-shm").read_bytes()

    threads = [threading.Thread(target=serve) for _ in range(2)]
    with Store(path) as s:
        s["a"] = 0
        for thread in threads:
            thread.start()
        try:
            for number in range(15):
                s["a"] = number
                assert visitor.visits("v['a']") == str(number)
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)


# -- what was committed is not folded over what others wrote


def removed(path: Path, what: str) -> None:
    for suffix in what.split():
        os.unlink(f"{path}{suffix}")


@pytest.mark.parametrize("how", ["close", "set", "transaction", "update", "delete"])
@pytest.mark.parametrize("what", ["-wal -shm", "-shm"])
def test_removed_log_and_a_visitor_that_writes(path: Path, visitor: Actor, what: str, how: str) -> None:
    s: Store[Any] = Store(path)
    s["ours"] = 0
    s.update({f"a{number}": number for number in range(50)})
    removed(path, what)
    assert visitor.visits("v.update({f'o{i}': 'z' * 300 for i in range(150)})\nsum(n[0] == 'o' for n in v)") in (
        "150", "151",
    )  # fmt: skip
    refused = False
    try:
        if how == "set":
            s["a0"] = "new"
        elif how == "transaction":
            with s.transaction():
                s["a0"] = "new"
        elif how == "update":
            s.update(a0="new", a1="new")
        elif how == "delete":
            del s["a0"]
    except StorageError as exc:
        assert "open the store again" in str(exc)
        refused = True
    assert refused or how == "close"
    if what == "-shm":
        s.close()
    elif how == "close":
        with pytest.raises(StorageError, match="since the last checkpoint may be lost"):
            s.close()
    else:
        s.close()
    left = visitor.visits("[v.get(f'o{i}') for i in range(150)].count('z' * 300), v.get('a0', None)")
    assert left == ("(150, 0)" if what == "-shm" else "(150, None)")


@pytest.mark.parametrize("what", ["-wal -shm", "-shm", "-wal"])
@pytest.mark.parametrize("told", [True, False])
def test_removed_log_that_nobody_missed_loses_nothing(path: Path, visitor: Actor, what: str, told: bool) -> None:
    """Neither with an error, nor where the program ends before it comes to one."""
    s: Store[Any] = Store(path)
    s.update({f"a{number}": number for number in range(50)})
    removed(path, what)
    if told:
        with pytest.raises(StorageError, match=r"the (earlier )?commits are in the"):
            s["a0"] = "new"
    s.close()
    assert visitor.visits("len(v), v['a0'], v['a49']") == "(50, 0, 49)"


def test_removed_log_while_two_processes_have_it(path: Path, visitor: Actor) -> None:
    with Store(path) as s:
        s["a"] = 1
        assert visitor.does("s = Store(path); s['b'] = 2") == "None"
        removed(path, "-wal -shm")
        assert "was deleted or replaced" in visitor.does("s['b'] = 3")
        with pytest.raises(StorageError, match="was deleted or replaced"):
            s["a"] = 3
    # The last of the two has saved what both had written, as nobody has written anything since.
    assert visitor.does("s.close(); s = Store(path); dict(s)") == "{'a': 1, 'b': 2}"


@needs_range_locks
def test_removed_log_whose_index_is_left_is_told_to_a_visitor(path: Path, visitor: Actor) -> None:
    """The index says what is in a log that the visitor cannot read any more."""
    with Store(path) as s:
        s["a"] = 1
        removed(path, "-wal")
        assert "close it in all of them and open it again" in visitor.visits("v['a']")
    assert visitor.visits("v['a']") == "1"


def test_removed_log_noticed_at_the_commit(path: Path) -> None:
    with Store(path) as s:
        s["a"] = 1
        with pytest.raises(StorageError, match="was deleted or replaced"), s.transaction():
            s["a"] = 2
            removed(path, "-wal -shm")
        with Store(path) as new:
            assert new["a"] == 1
            new["a"] = 3
        assert Store(path)["a"] == 3
        with pytest.raises(StorageError, match="was deleted or replaced"):
            s["a"]


@pytest.mark.parametrize("block", ["set", "transaction"])
def test_log_removed_between_the_commit_and_its_acknowledgement(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    with Store(path) as s:
        s["a"] = 1
        engine = s.opened.engine.handle.engine
        kept = engine.file._logs.is_kept

        def removed_before() -> bool:
            with suppress(FileNotFoundError):
                removed(path, "-wal -shm")
            return kept()

        monkeypatch.setattr(engine.file._logs, "is_kept", removed_before)
        with pytest.raises(StorageError, match="was deleted or replaced"):
            if block == "set":
                s["a"] = 2
            else:
                with s.transaction():
                    s["a"] = 2
        monkeypatch.undo()
    with Store(path) as s:
        assert s["a"] in (1, 2)


@pytest.mark.parametrize("quiet", [True, False])
def test_log_removed_in_a_folder(path: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    """One that has not changed for a while is looked at in place of the names in it."""
    for constant in ("STABLE_SECONDS", "STABLE_COARSE_SECONDS"):
        monkeypatch.setattr(log_files, constant, 0.0 if quiet else 1e9)
    with Store(path) as s:
        for number in range(3):
            s["a"] = number
        assert (s.opened.engine.handle.engine.file._logs._changed != log_files.UNSTABLE) == quiet
        removed(path, "-wal")
        with pytest.raises(StorageError, match="was deleted or replaced"):
            s["a"] = 3


def test_plain_sqlite3_beside_a_removed_log_is_not_folded_over(path: Path) -> None:
    """Its checkpoint has written to the database itself, and then its log was removed as well."""
    s: Store[Any] = Store(path)
    s["a"] = 1
    removed(path, "-wal -shm")
    code = (
        "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('CREATE TABLE other (x)')\nc.execute('PRAGMA wal_checkpoint(TRUNCATE)')\nc.close()"
    )
    assert Program(code, (path,)).output() == ""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
    with pytest.raises(StorageError, match="may be lost"):
        s.close()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT name FROM sqlite_schema WHERE name = 'other'").fetchall() == [("other",)]


def test_close_of_a_moved_store_leaves_the_log_of_the_one_in_its_place(path: Path, visitor: Actor) -> None:
    """SQLite unlinks a log by its name."""
    old: Store[Any] = Store(path)
    old["a"] = "old"
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{path}{suffix}", f"{path}.moved{suffix}")
    assert visitor.does("s = Store(path); s['a'] = 'new'") == "None"
    old.close()
    assert os.path.exists(f"{path}-wal")
    assert visitor.does("s['b'] = 'new'; s.close(); s = Store(path); dict(s)") == "{'a': 'new', 'b': 'new'}"
    with Store(f"{path}.moved") as moved:
        assert moved["a"] == "old"


def test_renamed_store_is_opened_under_its_new_name(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    old: Store[Any] = Store(path)
    old["a"] = 1
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{path}{suffix}", f"{new}{suffix}")
    with Store(new) as s:
        assert s["a"] == 1
        s["a"] = 2
        with pytest.raises(StorageError, match="deleted"):
            old["a"] = 3
    old.close()
    with Store(new) as s:
        assert s["a"] == 2


def test_last_close_of_ones_own_is_no_removal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread looks at the names when SQLite has taken them, and before the close has come to its end."""
    with Store(path) as s:
        s["a"] = 1
        engine = s.opened.engine.handle.engine
        looked = []

        def closing_slowly(conn: sqlite3.Connection | None) -> None:
            assert conn is not None
            conn.close()
            looked.append(os.path.exists(f"{path}-wal"))
            engine.file.check_in_place()
            engine.file.check_log()

        monkeypatch.setattr(shared_database, "close", closing_slowly)
        engine.pool.close_idle(1.0)
        monkeypatch.undo()
        assert looked == [False]
        s["a"] = 2
        assert s["a"] == 2


# -- forks


@needs_range_locks
def test_child_closes_and_never_unlocks(path: Path, visitor: Actor, forked: Callable[..., Any]) -> None:
    with Store(path) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2

            def child() -> str:
                with suppress(Exception):
                    s.close()
                gc.collect()
                return "done"

            assert forked(child).result() == "done"
            path.read_bytes()  # and now only what the child may not touch keeps the log
            visitor.visits("v['a']")
        assert s["a"] == 2
        s["a"] = 3
        assert visitor.visits("v['a']") == "3"


@needs_range_locks
def test_log_that_a_child_keeps_goes_with_the_next_to_close(path: Path, forked: Callable[..., Any]) -> None:
    ready, go = os.pipe(), os.pipe()
    with Store(path) as s:
        s["a"] = 1

        def child() -> Any:
            s["b"] = 2
            os.write(ready[1], b"x")
            os.read(go[0], 1)

        one = forked(child)
        os.read(ready[0], 1)
    assert os.path.exists(f"{path}-wal")
    os.write(go[1], b"x")
    assert one.result() is None  # it ended without closing anything
    for number in (*ready, *go):
        os.close(number)
    with Store(path) as s:
        assert dict(s) == {"a": 1, "b": 2}
    assert not os.path.exists(f"{path}-wal")


# -- what is held, and given back

LOCK = "import fcntl\nwith open({path!r}, 'r+b') as file: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, {size}, {start})"
DATABASE, INDEX = {"start": 0x40000002, "size": 510}, {"start": 128, "size": 1}  # what SQLite locks of the two


def may_lock(actor: Actor, path: str, what: dict[str, int]) -> bool:
    """Whether another process may have the database alone, or take its index for one that nobody uses."""
    answer = actor.does(LOCK.format(path=path, **what))
    assert answer == "None" or answer.startswith("BlockingIOError"), answer
    return answer == "None"


@needs_range_locks
def test_database_and_index_are_locked_whatever_the_program_closes(path: Path, visitor: Actor) -> None:
    with Store(path) as s:
        s["a"] = 1
        by_reading_the_index(path)
        assert not may_lock(visitor, str(path), DATABASE)
        assert not may_lock(visitor, f"{path}-shm", INDEX)
    assert may_lock(visitor, str(path), DATABASE)


@needs_range_locks
def test_last_close_leaves_no_moment_without_a_lock(
    path: Path, visitor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one lock is given back, and SQLite has not closed yet, which would give the other one back."""
    with Store(path) as s:
        s["a"] = 1
        by_reading_the_index(path)
        tried = []

        def close(conn: sqlite3.Connection | None) -> None:
            assert conn is not None
            tried.append(may_lock(visitor, str(path), DATABASE))
            conn.close()

        monkeypatch.setattr(shared_database, "close", close)
        s.opened.engine.handle.engine.pool.close_idle(1.0)
        monkeypatch.undo()
        assert tried == [False]
    assert visitor.visits("v['a']") == "1"


def locks_on(path: Path) -> list[str]:
    """The kernel's lines of POSIX locks of this process on a file."""
    place = f":{os.stat(path).st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return [line for line in lines if place in line and f" {os.getpid()} " in line]


@needs_range_locks
@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="there is no /proc/locks: NOT tested")
def test_close_keeps_the_locks_of_the_programs_own_connection(path: Path, visitor: Actor) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM records").fetchone() == (0,)
        for _ in range(2):
            with Store(path) as s:
                s["a"] = 1
            assert locks_on(path)
        assert visitor.does("s = Store(path); s['a']") == "1"
        with Store(path) as s:
            s["a"] = 1
        assert locks_on(path)
        visitor.does("s.close(); s = None")
        assert conn.execute("SELECT count(*) FROM records").fetchone() == (1,)
    wal_index.release_unused(keep=0)


@needs_range_locks
def test_descriptors_come_and_go_with_the_connections(path: Path) -> None:
    def count() -> int:
        wal_index.release_unused(keep=0)
        return len(os.listdir("/dev/fd"))

    before = count()
    s: Store[Any] = Store(path)
    s["a"] = 1
    with Store(path, mode="r") as reader:
        reader["a"]
    opened = count()
    for _ in range(20):
        s.opened.engine.handle.engine.pool.close_idle(1.0)
        s["a"] = 1
    assert count() <= opened
    s.close()
    assert count() == before


@needs_range_locks
def test_database_that_somebody_has_alone_is_waited_for(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE")
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("COMMIT")
    alone = """
        import sqlite3, sys
        c = sqlite3.connect(sys.argv[1], isolation_level=None)
        c.execute("PRAGMA locking_mode = EXCLUSIVE"); c.execute("BEGIN IMMEDIATE"); c.execute("COMMIT")
        print("alone", flush=True); sys.stdin.readline(); c.close()
    """
    other = Program(alone, (path,))
    assert other.line() == "alone"
    with pytest.raises(LockTimeout, match=r"kept the lock|locked for"):
        Store(path, timeout=0.1).get("a", None)
    other.tell()
    assert other.output() == ""
    with Store(path) as s:
        s["a"] = 1


@pytest.mark.parametrize("last", [True, False])
def test_system_without_such_locks(path: Path, actors: list[Actor], last: bool) -> None:
    """A shared lock on a file of its own, among programs of this library."""
    for actor in actors:
        assert actor.does("from store.system import range_locks; range_locks.AVAILABLE = False") == "None"
    ours, theirs = actors
    try:
        assert ours.does("s = Store(path); s['a'] = 0; open(path, 'rb').close(); s['a']") == "0"
        for number in range(1, 4):
            assert theirs.visits("v['a']") == str(number - 1)
            assert ours.does(f"open(path, 'rb').close(); s['a'] = {number}") == "None"
        assert theirs.visits("v['a']") == "3"
        assert os.path.exists(f"{path}-open")
        if not last:
            assert theirs.does("s = Store(path); s['b'] = 1") == "None"
        assert ours.does("s.close(); s = None; os.path.exists(path + '-wal')") == str(not last)
    finally:
        for actor in actors:
            actor.does("s is None or s.close(); s = None; range_locks.AVAILABLE = True")
    with Store(path) as s:
        assert s["a"] == 3


@needs_range_locks
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root alone can read what nobody may write")
def test_read_only_file_is_held_too(path: Path, visitor: Actor) -> None:
    with Store(path) as s:
        s["a"] = 1
    path.chmod(0o444)
    with Store(path, mode="r") as s:
        assert s["a"] == 1
        path.read_bytes()
        assert visitor.visits("v['a']") == "1"
        assert s["a"] == 1
    path.chmod(0o644)


# -- one file under two names


def test_hard_link_is_refused(path: Path, tmp_path: Path, visitor: Actor) -> None:
    other = tmp_path / "other"
    with Store(path) as s:
        s["a"] = 1
        os.link(path, other)
        assert "has a log of its own" in visitor.does(f"Store({str(other)!r})")
        assert "has a log of its own" in visitor.does(f"Store({str(other)!r}, mode='r')")
        s["a"] = 2  # what is open stays so
        with Store(other) as same:  # in this process it is found by what it is
            assert same["a"] == 2
    for refused in (path, other):
        with pytest.raises(StorageError, match=r"2 names.*cp -p") as caught:
            Store(refused)
    assert Store(other, mode="r")["a"] == 2  # nobody is at work on it
    command = str(caught.value).partition("`")[2].partition("`")[0]
    assert os.system(command) == 0
    for name, value in ((path, "path"), (other, "other")):
        with Store(name) as s:
            assert s["a"] == 2
            s["a"] = value
    assert (Store(path)["a"], Store(other)["a"]) == ("path", "other")
    gc.collect()


@pytest.mark.slow
def test_file_that_is_a_mount_point_is_refused(path: Path, tmp_path: Path) -> None:
    import subprocess

    with Store(path) as s:
        s["a"] = 1
    shown = tmp_path / "shown"
    shown.touch()
    done = subprocess.run(["mount", "--bind", path, shown], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here, so this was NOT tested: {done.stderr.strip()}")
    try:
        for mode in ("c", "w", "r"):
            with pytest.raises(StorageError, match="mount the folder"):
                Store(shown, mode=mode)  # type: ignore[arg-type]
        with Store(path) as s:
            s["a"] = 2
    finally:
        subprocess.run(["umount", shown], check=True)
    assert sys.getrefcount(s) > 0


@pytest.mark.heavy
def test_folder_under_two_names_is_one_store(path: Path, tmp_path: Path) -> None:
    import subprocess

    shown = tmp_path / "shown"
    folder = tmp_path / "folder"
    shown.mkdir()
    folder.mkdir()
    done = subprocess.run(["mount", "--bind", folder, shown], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here, so this was NOT tested: {done.stderr.strip()}")
    try:
        with Store(folder / "x.db") as one, Store(shown / "x.db") as two:
            one["a"] = 1
            two["b"] = 2
            assert dict(one) == dict(two) == {"a": 1, "b": 2}
    finally:
        wal_index.release_unused(keep=0)
        subprocess.run(["umount", shown], check=True)
