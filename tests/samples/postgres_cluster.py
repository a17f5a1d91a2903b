"""A primary and two synchronous standbys on loopback: kill the primary, promote the most advanced, let the old one rejoin."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from free_ports import free_port
from postgres_server import SECONDS, programs, unprivileged

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a killed process loses nothing that it has written; a power cut is another test
    "max_connections": "60",
    "max_wal_senders": "8",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "hot_standby": "on",
    "synchronous_standby_names": "ANY 1 (n0, n1, n2)",
    "wal_retrieve_retry_interval": "100ms",
    "log_min_messages": "warning",
}
NODES = 3
POLL_SECONDS = 0.02


def replicating() -> Path | None:
    """The folder of all programs of a server; None: there is none here, or no driver."""
    place = programs()
    if place is None or importlib.util.find_spec("psycopg") is None:
        return None
    place = (place / "initdb").resolve().parent  # links elsewhere may be to some of them only
    return place if (place / "pg_basebackup").exists() else None


class Node:
    """One server of the cluster; its role changes."""

    def __init__(self, number: int, folder: Path, programs: Path) -> None:
        self.name, self.port = f"n{number}", free_port()
        self.folder, self.programs = folder, programs
        self.data = folder / self.name
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def run(self, program: str, *arguments: str, check: bool = True) -> bool:
        done = subprocess.run(
            [str(self.programs / program), *arguments], check=False, capture_output=True, user=unprivileged(), cwd="/",
            timeout=SECONDS, env={"PATH": f"{self.programs}:/usr/bin:/bin", "LC_ALL": "C"},
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.returncode == 0

    def start(self, primary: Node | None) -> None:
        """As the primary, or as a standby of one."""
        settings = {**SETTINGS, "port": str(self.port)}
        if primary is not None:
            (self.data / "standby.signal").touch()
            settings["primary_conninfo"] = f"{primary.conninfo} application_name={self.name}"
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / f"log-{self.name}").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), *options],
                stdout=subprocess.DEVNULL, stderr=log, user=unprivileged(), cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip
        self.wait(lambda: self.ask("SELECT 1") is not None, "answers")

    def ask(self, statement: str) -> Any:
        """The first column of the first row; None: the server does not answer."""
        import psycopg

        try:
            with psycopg.connect(self.conninfo, connect_timeout=5, autocommit=True) as conn:
                cursor = conn.execute(statement)
                row = cursor.fetchone() if cursor.description else None
                return None if row is None else row[0]
        except psycopg.OperationalError:
            return None

    def wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline or (self.process is not None and self.process.poll() is not None):
                log = (self.folder / f"log-{self.name}").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self.name} never {what}: {log}")
            time.sleep(POLL_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)

    def kill(self) -> None:
        """All its processes at once, as a machine dies; each has a session of its own."""
        assert self.process is not None
        children = children_of(self.process.pid)
        for pid in (self.process.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(SECONDS)
        while any(Path(f"/proc/{pid}/cmdline").exists() and _is_running(pid) for pid in children):
            time.sleep(POLL_SECONDS)

    def position(self) -> int:
        """How far its write-ahead log goes, received or replayed: a standby may have replayed what it has not
        received by streaming, and received what it has not replayed."""
        found = self.ask(
            "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn"
        )
        return int(found or 0)


class Cluster:
    """Three nodes; `primary` is the one that writes. Ends with `stop`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.nodes = [Node(number, folder, programs) for number in range(NODES)]
        self.primary = self.nodes[0]
        self.rewound = 0

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"

    def start(self) -> None:
        first = self.primary
        # -k: pg_rewind needs checksums of the pages, to know those that the log does not name.
        options = ["-U", "postgres", "-A", "trust", "-N", "-k", "--no-locale", "-E", "UTF8"]
        first.run("initdb", "-D", str(first.data), *options)
        with (first.data / "postgresql.conf").open("a") as settings:
            settings.write("wal_keep_size = 64MB\n")  # here, because the recovery before a rewind has no options
        first.start(None)
        for node in self.standbys():
            self._copy(node)
            node.start(first)
        self.wait_for_standbys()

    def standbys(self) -> list[Node]:
        return [node for node in self.nodes if node is not self.primary]

    def wait_for_standbys(self) -> None:
        """Until both stream: with one alone, the next failover would leave no one to confirm commits."""
        streaming = "SELECT count(*) = 2 FROM pg_stat_replication WHERE state = 'streaming'"
        self.primary.wait(lambda: self.primary.ask(streaming), "had two standbys")

    def fail_over(self, behind: Node | None = None) -> None:
        """Kill the primary, promote the standby that has most of its log, and have the other one follow that.

        `behind`: a standby that was stopped before; it is started again, and lacks what was written since.
        """
        dead = self.primary
        dead.kill()
        if behind is not None:
            behind.start(dead)
        ahead, other = sorted(self.standbys(), key=Node.position, reverse=True)
        ahead.ask("SELECT pg_promote(false)")
        ahead.wait(lambda: ahead.ask("SELECT NOT pg_is_in_recovery()"), "was promoted")
        self.primary = ahead
        other.stop()
        other.start(ahead)
        self._rejoin(dead)
        self.wait_for_standbys()

    def _rejoin(self, dead: Node) -> None:
        """By pg_rewind where it can, else by a new copy."""
        self.primary.ask("CHECKPOINT")  # pg_rewind reads the timeline of the new primary from its control file
        target = ["-D", str(dead.data), f"--source-server={self.primary.conninfo}", "--no-sync"]
        if dead.run("pg_rewind", *target, check=False):
            self.rewound += 1
        else:
            shutil.rmtree(dead.data)
            self._copy(dead)
        dead.start(self.primary)

    def _copy(self, node: Node) -> None:
        node.run("pg_basebackup", "-D", str(node.data), "-d", self.primary.conninfo, "-c", "fast", "-X", "stream", "-N")

    def stop(self) -> None:
        for node in self.nodes:
            node.stop(signal.SIGQUIT)


def children_of(parent: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(place.name))
    return found


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
