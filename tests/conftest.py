"""What holds for every test: no key of the user is touched, nothing leaks, the store is sound afterwards."""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import os
import re
import sqlite3
import sys
import tempfile
import threading
import time
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
from server_urls import SERVERS, url_fixture

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
    parser.addoption("--screenshots", action="store_true", help="pictures of the pages in the browser are made anew")


# What -m says → the marks of which a test must have one.
LONG = {
    "slow": ("slow",), "heavy": ("heavy",), "huge": ("huge",), "heavy and not huge": ("heavy",),
    "(heavy or slow) and not huge": ("heavy", "slow"),
}  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m heavy` and the like a file without such a mark is not imported: most have no such test."""
    marks = LONG.get(config.option.markexpr)
    if marks is None or not collection_path.match("test_*.py"):
        return None
    return not any(f"mark.{mark}" in text_of(collection_path) for mark in marks) or None


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text("utf-8")


ranks = pytest.StashKey[int]()  # where a file or folder stands in its folder


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Each worker begins with another folder, and finds the files that others have compiled meanwhile.

    Where none has been compiled yet, in a clean clone, compiling them with pytest's `assert` takes half of the time
    of collecting. `pytest_collection_modifyitems` puts the tests in the order that all workers agree on.
    """
    report = yield
    worker = getattr(collector.config, "workerinput", None)
    if worker is not None and isinstance(collector, pytest.Directory):
        for rank, node in enumerate(report.result):
            node.stash[ranks] = rank
        first = len(report.result) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        report.result = report.result[first:] + report.result[:first]
    return report


@pytest.hookimpl(tryfirst=True)  # before pytest groups tests by what they share
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [node.stash[ranks] for node in item.listchain() if ranks in node.stash])
    for item in items:  # else `pytest_ignore_collect` would miss them
        for mark in set(itertools.chain(*LONG.values())):
            is_there = item.get_closest_marker(mark) is None or f"mark.{mark}" in text_of(item.path)
            assert is_there, f"{item.nodeid} is {mark}: write that mark into its own file"
    only_engines(config, items)


def only_engines(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --only-engines: those tests that run on the engines of --engine, or on a server of one."""
    if not config.getoption("--only-engines"):
        return
    engines = set(config.getoption("--engine").split(","))
    wanted, others = [], []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        is_wanted = {params.get(name) for name in ("location", "place", "kind", "url")} & engines
        started = {server for engine in engines for server in SERVERS_OF.get(engine, {engine} & set(SERVERS))}
        is_wanted = is_wanted or started & set(getattr(item, "fixturenames", ()))
        (wanted if is_wanted else others).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=others)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """As `pytest_runtest_call`, where a fixture needs what the engine lacks."""
    if len(sys.modules) >= frozen_modules + MANY_MODULES:
        freeze_modules()
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
    let_examples_take_time()


def let_examples_take_time() -> None:
    """Hypothesis by itself fails a test of which one example takes 0.2 s, which any may on a busy machine.

    It is also imported here because pytest does at the end: its plugin for trio asks for referrers, hidden by then.
    """
    settings = importlib.import_module("hypothesis").settings
    settings.register_profile("of this suite", settings.default, deadline=None)
    settings.load_profile("of this suite")


def pytest_collection_finish() -> None:
    freeze_modules()
    gc.enable()


MANY_MODULES = 20
frozen_modules = 0  # how many there were the last time


def freeze_modules() -> None:
    """The garbage collector leaves alone what is there: thousands of tests, and the modules.

    Each full collection would go through all of it, for 0.2 s, and many tests and checks for leaks collect in full. Tests
    import pandas, Django and others later, so this is done again once there are many more.
    """
    global frozen_modules
    gc.collect()
    gc.freeze()
    frozen_modules = len(sys.modules)


class Clock:
    """A clock that stands still until it is told to go on; Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


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


numbers = itertools.count()  # of the folders that tests were given
unused_home: Path | None = None
of_the_test = pytest.StashKey[Path]()


def new_home(factory: pytest.TempPathFactory) -> Path:
    """A new folder with an empty `tmp` in it, or that of a test before, which left it so.

    `factory.mktemp` would look through all folders for each new one.
    """
    if unused_home is not None and is_unused(unused_home):
        return unused_home
    home = factory.getbasetemp() / f"home-{next(numbers)}"
    home.mkdir(0o700)
    (home / "tmp").mkdir(0o755)
    return home


def is_unused(home: Path) -> bool:
    try:
        modes = [os.stat(folder).st_mode & 0o7777 for folder in (home, home / "tmp")]
        return os.listdir(home) == ["tmp"] and os.listdir(home / "tmp") == [] and modes == [0o700, 0o755]
    except OSError:
        return False


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's own, a new folder; that one would look through the folders of all tests for each new one."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}-{next(numbers)}"
    folder.mkdir(0o700)
    request.node.stash[of_the_test] = folder
    return folder


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home and a data directory of the test's own, which child processes inherit.

    Not by the `monkeypatch` of the test: its `undo()` would give the user's own home back.
    """
    global unused_home
    home = unused_home = new_home(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        patched.setenv("XDG_DATA_HOME", str(home / "data"))
        # Temporary files too: what a test leaves behind is then its own, whoever runs beside it.
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
        url: str = request.getfixturevalue(url_fixture(request.param))
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


ENDING_SECONDS = 10.0  # for threads of a test that end by themselves; one that stays costs its test so much, and fails it


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest, own_key: Path) -> Iterator[None]:
    """Descriptors, threads, engines and temporary folders are as before; stores are sound.

    A test that damages a store on purpose, or keeps one that no key here seals, is marked `damaged`; one that leaves
    files of a write that was killed, `orphans`.
    """
    before = _descriptors(), set(threading.enumerate()), _left_folders()
    yield
    wal_index.release_unused(keep=0)  # of some files it keeps the descriptors on purpose
    if _leaks(before):  # a cycle may hold them still; collecting after every test would double the suite's time
        gc.collect()
        _let_end(set(threading.enumerate()) - before[1])
    assert _leaks(before) == []
    folder = request.node.stash.get(of_the_test, None)
    if folder is not None and request.node.get_closest_marker("damaged") is None:
        for file in databases(folder):
            check_sound(file, orphans=request.node.get_closest_marker("orphans") is not None)
            Path(f"{file}.access").unlink(missing_ok=True)  # 16 MiB for each bounded cache: 10 GB in all


def _let_end(threads: set[threading.Thread]) -> None:
    """Wait for threads that end by themselves, as one does whose executor was just collected."""
    end = time.monotonic() + ENDING_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _leaks(before: tuple[set[tuple[str, str]], set[threading.Thread], set[str]]) -> list[object]:
    """What is there now, and was not before."""
    return [
        *(engine.path for engine in sqlite_attach._engines.values()),
        *(lock for lock in (wal_index._files_lock, sqlite_attach._engines_lock) if lock._is_owned()),
        *(_descriptors() - before[0]),
        *(set(threading.enumerate()) - before[1]),
        *(_left_folders() - before[2]),
    ]


def databases(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names if name.endswith(".db"))


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
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("store-")}
