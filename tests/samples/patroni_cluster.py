"""Three servers under Patroni with etcd, on loopback: a machine dies, Patroni promotes another one by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from free_ports import free_port
from postgres_cluster import NODES, POLL_SECONDS, children_of, replicating
from postgres_server import unprivileged

SECONDS = 120.0  # Patroni waits for at least 20 before it promotes
CONFIGURATION: dict[str, Any] = {
    "scope": "store",
    "bootstrap": {
        "dcs": {
            "ttl": 20, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 0,
            "synchronous_mode": True, "synchronous_mode_strict": True,
            "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 60}},
        },
        "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"auth": "trust"}, "data-checksums"],
    },
}  # fmt: skip


def patroni() -> tuple[Path, str, str] | None:
    """The programs of the server, Patroni and etcd; None: one of them is not installed."""
    servers, manager, memory = replicating(), shutil.which("patroni"), shutil.which("etcd")
    return None if servers is None or manager is None or memory is None else (servers, manager, memory)


class Machine:
    """Patroni and its server; both die at once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.port, self.api = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, servers: Path, etcd: int) -> None:
        configuration = {
            **CONFIGURATION,
            "name": self.name,
            "etcd3": {"host": f"127.0.0.1:{etcd}"},
            "restapi": {"listen": f"127.0.0.1:{self.api}", "connect_address": f"127.0.0.1:{self.api}"},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / self.name), "bin_dir": str(servers),
                "pgpass": str(self.folder / f"pgpass-{self.name}"),
                "authentication": {name: {"username": "postgres"} for name in ("superuser", "replication", "rewind")},
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "parameters": {"unix_socket_directories": "", "fsync": "off"},
            },
        }  # fmt: skip
        # JSON is YAML.
        (self.folder / f"{self.name}.yml").write_text(json.dumps(configuration))

    def start(self, program: str) -> None:
        with (self.folder / f"log-{self.name}").open("ab") as log:
            self.process = subprocess.Popen(
                [program, str(self.folder / f"{self.name}.yml")], stdout=log, stderr=log, user=unprivileged(), cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Patroni first, which would start the server again; then all processes of the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(SECONDS)
        try:
            server = int((self.folder / self.name / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        if _is_server(server, self.folder / self.name):
            for pid in (server, *children_of(server)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            while _is_server(server, self.folder / self.name):
                time.sleep(POLL_SECONDS)


class PatroniCluster:
    """As `Cluster`, with the machine that leads killed, and started again once another one leads."""

    rewound = 0  # Patroni does that

    def __init__(self, folder: Path, programs: tuple[Path, str, str]) -> None:
        self.folder = folder
        self.servers, self.manager, self.memory = programs
        self.machines = [Machine(f"n{number}", folder) for number in range(NODES)]
        self.etcd, self._peer = free_port(), free_port()
        self._etcd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{machine.port}" for machine in self.machines)
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"

    def standbys(self) -> list[Any]:
        """None that a test may stop: Patroni would start it again."""
        return []

    def start(self) -> None:
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{self._peer}"
        arguments = ["--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client, "--advertise-client-urls",
                     client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                     f"default={peer}", "--unsafe-no-fsync"]  # fmt: skip
        with (self.folder / "log-etcd").open("ab") as log:
            self._etcd = subprocess.Popen(
                [self.memory, *arguments], stdout=log, stderr=log, user=unprivileged(), cwd="/",
                env={"PATH": "/usr/bin:/bin", "ETCD_UNSUPPORTED_ARCH": ""}, start_new_session=True,
            )  # fmt: skip
        for machine in self.machines:
            machine.configure(self.servers, self.etcd)
            machine.start(self.manager)
        self.wait_for_standbys()

    def fail_over(self, behind: None = None) -> None:
        leader = self._leader()
        assert leader is not None
        leader.kill()
        self._wait(lambda: self._leader() not in (None, leader), "led")
        leader.start(self.manager)
        self.wait_for_standbys()

    def wait_for_standbys(self) -> None:
        statement = (
            "SELECT count(*) = 2 AND bool_or(sync_state IN ('sync', 'quorum')) FROM pg_stat_replication "
            "WHERE state = 'streaming'"
        )
        self._wait(lambda: any(_ask(machine, statement) for machine in self.machines), "had two standbys")

    def _leader(self) -> Machine | None:
        return next((m for m in self.machines if _ask(m, "SELECT NOT pg_is_in_recovery()")), None)

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("log-*"))
                raise RuntimeError(f"no server {what}: {logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        for machine in self.machines:
            machine.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait(SECONDS)


def _ask(machine: Machine, statement: str) -> Any:
    import psycopg

    try:
        conninfo = f"host=127.0.0.1 port={machine.port} user=postgres dbname=postgres connect_timeout=3"
        with psycopg.connect(conninfo, autocommit=True) as conn:
            row = conn.execute(statement).fetchone()
            return None if row is None else row[0]
    except psycopg.Error:
        return None


def _is_server(pid: int, data: Path) -> bool:
    try:
        return str(data) in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
