"""A PostgreSQL server of the tests' own, on loopback: one for each process of the test run, a schema for each test."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from free_ports import free_port

SECONDS = 60.0
ROOM = 2_000_000_000  # bytes, of which several servers at once take a part
PR_SET_PDEATHSIG = 1
CHECKED = "checked"  # the role whose password is asked for; it is made by the test that needs it
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # nobody pulls a plug here
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10min",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder of initdb and postgres; None: there is no server here."""
    found = shutil.which("initdb")
    places = [*([str(Path(found).parent)] if found else []), *sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    return next((Path(place) for place in places if (Path(place) / "postgres").exists()), None)


def unprivileged() -> str | None:
    """The user that a server runs as: it refuses root."""
    return "nobody" if os.geteuid() == 0 else None


class PostgresServer:
    """One server process with its data; `url` is that of its database. Ends with `stop`."""

    def __init__(self, folder: Path, port: int, programs: Path, **settings: str) -> None:
        self.folder, self.port, self.programs = folder, port, programs
        self.settings = {**SETTINGS, "port": str(port), **settings}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def url_of(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "--no-locale",
            "-E",
            "UTF8",
        )
        hba = self.folder / "data" / "pg_hba.conf"
        hba.write_text(f"host all {CHECKED} 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")

    def start(self) -> None:
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options],
                stdout=subprocess.DEVNULL, stderr=log, user=unprivileged(), cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it calls no Python that takes a lock
            )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """It is this server that answers, and it takes connections."""
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=5) as conn:
                return conn.execute("SHOW data_directory").fetchone() == (str(self.folder / "data"),)
        except psycopg.OperationalError:
            return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends all sessions and stops in order, SIGQUIT and SIGKILL are crashes."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments], check=True, capture_output=True, user=unprivileged(), cwd="/",
            timeout=SECONDS, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )  # fmt: skip


def _end_with_parent() -> None:
    """Have Linux end the server with the test run, also where that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def new_folder() -> Path:
    """A folder that the server's user may write; pytest's own are closed to it.

    It is in memory where that has room: each table and index of each test is a file, and on a disk these take half of the time.
    """
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free >= ROOM
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory if has_room else "/tmp"))
    user = unprivileged()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    return folder


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A running server. Skips where `--engine` does not ask for it; loudly where there is none, or no driver."""
    if "postgres" not in request.config.getoption("--engine").split(","):
        pytest.skip("--engine does not name postgres")
    pytest.importorskip("psycopg", reason="ENGINE postgres CANNOT BE HAD HERE: psycopg is not installed")
    pytest.importorskip("psycopg_pool", reason="ENGINE postgres CANNOT BE HAD HERE: psycopg_pool is not installed")
    found = programs()
    if found is None:
        pytest.skip("ENGINE postgres CANNOT BE HAD HERE: no PostgreSQL server is installed")
    folder = new_folder()
    server = PostgresServer(folder, free_port(), found)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A URL with a schema of the test's own, which is dropped afterwards."""
    import psycopg

    schema = f"t{next(_numbers)}"
    yield f"{postgres.url}?schema={schema}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


# What a server may lack that speaks the protocol; see store/engines/postgres/features.py.
EXTRAS = (
    "pg_advisory_xact_lock(bigint)", "pg_advisory_xact_lock_shared(bigint)", "pg_try_advisory_xact_lock(bigint)",
    "pg_current_xact_id()", "pg_current_snapshot()", "pg_snapshot_xmin(pg_snapshot)", "pg_notify(text, text)",
)  # fmt: skip


@pytest.fixture
def pgrows_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a role that may call none of `EXTRAS`, in a database of its own: its stores lock rows of a table."""
    import psycopg

    name = f"rows{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN")
        conn.execute(f"CREATE DATABASE {name} OWNER {name}")
        try:
            with psycopg.connect(postgres.url_of(name), autocommit=True) as inner:
                for function in EXTRAS:
                    inner.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC")
            yield postgres.url_of(name, name)
        finally:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
            conn.execute(f"DROP ROLE {name}")
