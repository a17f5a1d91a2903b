"""pgbouncer in transaction mode before the tests' PostgreSQL server; its clients share two sessions of the server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from free_ports import free_port
from postgres_server import SECONDS, PostgresServer, new_folder, unprivileged

SESSIONS = 2
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


class Pooler:
    """One pgbouncer with its settings in a folder. Ends with `stop`."""

    def __init__(self, folder: Path, server: PostgresServer, program: str) -> None:
        self.port = free_port()
        self._folder, self._program = folder, program
        (folder / "pgbouncer.ini").write_text(
            _SETTINGS.format(server=server.port, port=self.port, sessions=SESSIONS), "utf-8"
        )

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(self._folder / "pgbouncer.ini")],
                stdout=log, stderr=log, user=unprivileged(), cwd="/", env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pgbouncer did not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(SECONDS)

    def _is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


def program() -> str | None:
    """pgbouncer, also where the folder of system programs is not in PATH."""
    return shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


@pytest.fixture(scope="session")
def pgbouncer(postgres: PostgresServer) -> Iterator[Pooler]:
    """A running pooler. Skips loudly where there is none."""
    found = program()
    if found is None:
        pytest.skip("POOLER pgbouncer CANNOT BE HAD HERE: it is not installed")
    folder = new_folder()
    pooler = Pooler(folder, postgres, found)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pgbouncer_url(pgbouncer: Pooler, postgres: PostgresServer, postgres_url: str) -> str:
    """As `postgres_url`, through the pooler."""
    return postgres_url.replace(f":{postgres.port}/", f":{pgbouncer.port}/", 1)
