"""A Redis or Valkey server of the tests' own, on loopback: one for each process of the test run, a prefix for each test."""

from __future__ import annotations

import ctypes
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from free_ports import free_port
from redis_programs import named_engine

if TYPE_CHECKING:
    from redis import Redis
    from redis_certificates import Certificates

SECONDS = 30.0
POLL_SECONDS = 0.005
PR_SET_PDEATHSIG = 1
ATTEMPTS = 20  # to find a port that no other test run takes at the same moment
SETTINGS = {
    "bind": "127.0.0.1",
    "save": "3600 100000000",  # never; but a server without is warned of: it keeps nothing on its disk
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "enable-debug-command": "local",
    "shutdown-timeout": "0",  # do not wait for replicas when it ends
    "repl-diskless-sync-delay": "0",  # nor for more of them when one comes
    "repl-ping-replica-period": "1",
}


class PortTaken(RuntimeError):
    """Another program listens on the port that a server was given."""


class LacksTLS(RuntimeError):
    """The program was built without it, as that of a wheel may be."""


@contextmanager
def hurried() -> Iterator[None]:
    """In the block waits end after half a second: for a server that does not answer, since on a busy machine none may."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("server.LEAST_SECONDS", "nodes.CONNECT_SECONDS", "nodes.ANSWER_SECONDS"):
            patch.setattr(f"store.engines.redis.{name}", 0.5)
        yield


@contextmanager
def without_pauses() -> Iterator[None]:
    """In the block the pauses between attempts pass at once: for what is refused each time, until the deadline.

    Each attempt has all its time for the answer, which a busy machine may need.
    """
    from store.system.clock import steady_clock

    passed = 0.0

    def sleep(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    with pytest.MonkeyPatch.context() as patch:
        for module in ("client", "opening", "server"):
            patch.setattr(f"store.engines.redis.{module}.running", SimpleNamespace(sleep=sleep))
            patch.setattr(f"store.engines.redis.{module}.steady_clock", lambda: steady_clock() + passed)
        patch.setattr("store.engines.redis.client.LEAST_ATTEMPT_SECONDS", SECONDS)
        yield


@contextmanager
def briefly_confirmed() -> Iterator[None]:
    """In the block replicas have half a second to confirm a write: for writes that none confirms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.engines.redis.confirming.SHARE", 0.1)
        yield


class RedisServer:
    """One server process with its folder; `url` is that of its database 0. Ends with `stop`.

    `settings` are lines of its configuration, with `_` for `-`. `users` are ACL rules by name ("on >secret ~a:* +@all").
    With `certificates` it speaks TLS only. `locale`: the variables of its language.
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
        locale: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.folder, self.program, self.password, self.certificates = folder, program, password, certificates
        self._is_port_given = port is not None
        self.port = free_port() if port is None else port
        self.settings = {**SETTINGS, **{name.replace("_", "-"): value for name, value in settings.items()}}
        self.users = dict(users or {})
        self.locale = dict(locale or {"LC_ALL": "C"})
        self.process: subprocess.Popen[bytes] | None = None
        self._is_paused = False

    @property
    def url(self) -> str:
        return self.url_of("" if self.password is None else f":{self.password}")

    def url_of(self, user: str) -> str:
        """The URL for "name:password"."""
        scheme = "redis" if self.certificates is None else "rediss"
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/0"

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def is_running(self) -> bool:
        """Its process is there, and not paused."""
        return not self.has_ended and not self._is_paused

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
                cwd=self.folder, env={"PATH": "/usr/bin:/bin", **self.locale}, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it calls no Python that takes a lock
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.is_ready():
            if self.has_ended and "already in use" in self.log:
                raise PortTaken(f"port {self.port} of 127.0.0.1 is in use")
            if self.has_ended and self.certificates is not None and ("TLS support" in self.log or "tls-" in self.log):
                raise LacksTLS(f"{self.program} has no TLS")
            if self.has_ended or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self.log[-2000:]}")
            time.sleep(POLL_SECONDS)

    def is_ready(self) -> bool:
        """It is this server that answers, and it has loaded its data."""
        import redis

        try:
            with self.client(socket_timeout=5) as client:
                return bool(client.info("server")["process_id"] == self.pid and client.ping())
        except redis.RedisError:  # it loads, or is another server
            return False

    def client(self, url: str | None = None, **options: Any) -> Redis:
        """A client that tries each command once, by `url` or another URL of this server. Close it."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = {"decode_responses": True, "socket_timeout": SECONDS, "retry": Retry(NoBackoff(), 0), **options}
        url = url or self.url
        if self.certificates is not None and url.startswith("rediss:"):
            options = {**self.certificates.of_client, **options}
        return redis.Redis.from_url(url, **options)

    def ask(self, *command: Any) -> Any:
        """The reply to one command, on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM stops in order, SIGKILL is a crash. It may be started again."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.resume()
            self.process.wait(SECONDS)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process as it stands: connections stay open, and nothing is answered until `resume`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self._is_paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._is_paused = False

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
    named_engine(request, "redis")
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
        try:
            server.start()
        except LacksTLS as exc:
            pytest.skip(f"TLS CANNOT BE HAD HERE: {exc}")
        return server

    try:
        yield start
    finally:
        for server in started:
            server.kill()
