"""What holds for every test: no key of the user is touched, nothing leaks, the store is sound afterwards."""

from __future__ import annotations

import gc
import glob
import importlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from children import crowd as crowd
from children import declared as declared
from children import start as start
from postgres_pooler import pgbouncer as pgbouncer
from postgres_pooler import pgbouncer_url as pgbouncer_url
from postgres_server import pgrows_url as pgrows_url
from postgres_server import postgres as postgres
from postgres_server import postgres_url as postgres_url
from redis_certificates import certificates as certificates
from redis_cluster import own_cluster as own_cluster
from redis_cluster import redis_cluster as redis_cluster
from redis_cluster import redis_cluster_url as redis_cluster_url
from redis_programs import redis_cluster_program as redis_cluster_program
from redis_programs import redis_program as redis_program
from redis_programs import valkey_program as valkey_program
from redis_replicas import replicated as replicated
from redis_server import own_redis as own_redis
from redis_server import redis as redis
from redis_server import redis_url as redis_url
from redis_server import valkey as valkey
from redis_server import valkey_url as valkey_url

from store import Store
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.opening import attach as sqlite_attach
from store.errors import Unsupported
from store.rows import spilled
from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", default="sqlite,memory", help="engines that the contract's suite runs on, by commas")
    parser.addoption("--only-engines", action="store_true", help="only the tests that take an engine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --only-engines: those tests that run on the engines of --engine, or on a server of one."""
    if not config.getoption("--only-engines"):
        return
    engines = set(config.getoption("--engine").split(","))
    wanted, others = [], []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        is_wanted = {params.get(name) for name in ("location", "place", "kind")} & engines
        started = {server for engine in engines for server in SERVERS_OF.get(engine, {engine} & set(SERVERS))}
        is_wanted = is_wanted or started & set(getattr(item, "fixturenames", ()))
        (wanted if is_wanted else others).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=others)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """As `pytest_runtest_call`, where a fixture needs what the engine lacks."""
    return (yield from _skipped_where_unsupported(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that takes an engine is skipped where that lacks what it is about; the contract says which lacks what."""
    return (yield from _skipped_where_unsupported(item))


def _skipped_where_unsupported(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    except Unsupported as exc:
        if {"location", "place", "kind"} & set(getattr(getattr(item, "callspec", None), "params", ())):
            pytest.skip(f"the engine {exc.engine} does not have {exc.feature}")
        raise


def pytest_configure() -> None:
    """Collecting thousands of tests makes no garbage worth a search: a third of its time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The garbage collector leaves alone what is there before the first test: thousands of tests, and their modules.

    Each full collection would go through all of it, and many tests and checks for leaks collect in full.
    """
    importlib.import_module("hypothesis")  # at the end pytest does: its plugin for trio asks for referrers, hidden by then
    gc.collect()
    gc.freeze()
    gc.enable()


class Clock:
    """A clock that stands still until it is told to go on; Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


# Engine → scheme of its URLs; the fixture of that name starts one.
SERVERS = {
    "postgres": "postgresql",
    "pgbouncer": "postgresql",
    "pgrows": "postgresql",
    "redis": "redis",
    "valkey": "redis",
    "redis-cluster": "redis",
}
# Engine → the fixtures of its servers, where they are not one of its name.
SERVERS_OF = {
    "redis": {"redis", "redis_program"},
    "valkey": {"valkey", "redis_program"},
    "redis-cluster": {"redis_cluster_program"},
}
LOCATIONS = {"sqlite": "app.db", "memory": ":memory:"}  # engine → the place of a new store; a file is in the test's folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        engines = metafunc.config.getoption("--engine").split(",")
        metafunc.parametrize("place", [engine for engine in engines if engine != "memory"], indirect=True)
    if "location" in metafunc.fixturenames and "kind" not in metafunc.fixturenames:
        metafunc.parametrize("location", metafunc.config.getoption("--engine").split(","), indirect=True)


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home and a data directory of the test's own, which child processes inherit.

    Not by the `monkeypatch` of the test: its `undo()` would give the user's own home back.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        patched.setenv("XDG_DATA_HOME", str(home / "data"))
        # Temporary files too: what a test leaves behind is then its own, whoever runs beside it.
        (home / "tmp").mkdir()
        patched.setenv("TMPDIR", str(home / "tmp"))
        patched.setattr(tempfile, "tempdir", str(home / "tmp"))
        patched.delenv("STORE_KEY", raising=False)
        patched.delenv("STORE_KEY_FILE", raising=False)
        yield home / "data" / "sealed-store" / "keys"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test keeps its store."""
    return tmp_path / "app.db"


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As `location`, of a store that the test opens more than once, or by several programs: not in memory."""
    return _new_place(request, tmp_path)


@pytest.fixture
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test keeps a store of each engine. Use `path` where the file itself matters."""
    return _new_place(request, tmp_path)


def _new_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param in SERVERS:
        url: str = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
        return url
    if request.param not in LOCATIONS:
        pytest.skip(f"there is no engine {request.param!r} here: nothing was tested on it")
    place = LOCATIONS[request.param]
    return place if place == ":memory:" else str(tmp_path / place)


@pytest.fixture
def kept(location: str) -> str:
    """As `location`, of each engine whose stores outlive their last handle."""
    if location == ":memory:":
        pytest.skip("the engine keeps nothing when it is closed")
    return location


@pytest.fixture
def another(kept: str, tmp_path: Path) -> str:
    """Where a test keeps a second store of the same engine."""
    if "://" not in kept:
        return str(tmp_path / "another.db")
    # A Redis server is shared with other tests, which have prefixes too.
    return kept.replace("?prefix=", "?prefix=another_") if "?prefix=" in kept else f"{kept}&prefix=another_"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def s(location: str, clock: Clock) -> Iterator[Store[Any]]:
    """An empty store of each engine, by a clock that stands still."""
    with Store[Any](location, clock=clock) as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store], list[str]]:
    """`asked(store)` is the list of the statements that its engine is asked to read from now on."""

    def record(store: Store) -> list[str]:
        if store.opened.engine.coherence is None:
            pytest.skip(f"the engine {store.opened.engine.kind} has no cache that others' writes empty")
        statements: list[str] = []
        engine = store.opened.engine.handle.engine
        read = engine.read

        def recording(statement: str, *args: Any) -> Any:
            statements.append(statement)
            return read(statement, *args)

        monkeypatch.setattr(engine, "read", recording)
        return statements

    return record


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest, tmp_path: Path, own_key: Path) -> Iterator[None]:
    """Descriptors, threads, engines and temporary folders are as before; stores are sound.

    A test that damages a store on purpose, or keeps one that no key here seals, is marked `damaged`; one that leaves
    files of a write that was killed, `orphans`.
    """
    before = _descriptors(), set(threading.enumerate()), _left_folders()
    yield
    wal_index.release_unused(keep=0)  # of some files it keeps the descriptors on purpose
    if _leaks(before):  # a cycle may hold them still; collecting after every test would double the suite's time
        gc.collect()
    assert _leaks(before) == []
    if request.node.get_closest_marker("damaged") is None:
        for file in tmp_path.rglob("*.db"):
            check_sound(file, orphans=request.node.get_closest_marker("orphans") is not None)


def _leaks(before: tuple[set[tuple[str, str]], set[threading.Thread], set[str]]) -> list[object]:
    """What is there now, and was not before."""
    return [
        *(engine.path for engine in sqlite_attach._engines.values()),
        *(lock for lock in (wal_index._files_lock, sqlite_attach._engines_lock) if lock._is_owned()),
        *(_descriptors() - before[0]),
        *(set(threading.enumerate()) - before[1]),
        *(_left_folders() - before[2]),
    ]


def check_sound(file: Path, orphans: bool = False) -> None:
    """The database passes SQLite's check, every seal that is ours holds, and files are those that are named."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as conn:
        if not conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'records'").fetchone():
            return
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (store_id,) = conn.execute("SELECT id FROM identity").fetchone()
        sealer = Sealer(Keyring(), store_id)
        for values in conn.execute(f"SELECT {sql._COLUMNS} FROM records"):
            sealer.check(Row._make(values))
        files = named_files(conn, Path(f"{file}-spill"), store_id)
        sizes = [spilled.size_of(text) for _, _, text, _ in conn.execute(sql.EVERY_SPILL)]
        if conn.execute("PRAGMA user_version").fetchone() != (1,):  # which had no counter
            assert conn.execute(sql.SPILLED).fetchall() == [(sum(sizes),)]
    there = set(os.listdir(f"{file}-spill")) if os.path.isdir(f"{file}-spill") else set()
    assert orphans or there <= files, "files that no record and no garbage names"


def named_files(conn: sqlite3.Connection, folder: Path, store_id: bytes) -> set[str]:
    """What rows and garbage name; what a row names is there, as it was written."""
    named = {file for file, _ in conn.execute(sql.EVERY_GARBAGE)}
    for namespace, name, text, _ in conn.execute(sql.EVERY_SPILL):
        parts = spilled.parts_of(text, spilled.prefix_of(store_id, namespace, name))
        for part in parts:
            content = (folder / part.file).read_bytes()
            assert (len(content), spilled.checksum(content).hexdigest()) == (part.bytes, part.checksum)
            named.add(part.file)
    return named


def _descriptors() -> set[tuple[str, str]]:
    """The files and sockets that this process has open: (descriptor, what it is)."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except FileNotFoundError:
            pass
    return found


def _left_folders() -> set[str]:
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "store-*")))
