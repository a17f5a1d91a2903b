"""`examples/flask_app.py` on real servers, asked by real clients over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from http.cookiejar import CookieJar
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

EXAMPLES = Path(__file__, "../../../examples").resolve()
ANN = {"user": "ann", "password": "correct horse"}
SECONDS = 30  # for one answer

pytestmark = pytest.mark.skipif(find_spec("flask") is None, reason="Flask is not installed: its example was not run")


class Server:
    """A server of the shop, on a free port of the loopback interface. Its log is read by a thread of its own."""

    def __init__(self, command: list[str], location: str) -> None:
        environ = {**os.environ, "SHOP": location, "PORT": "0", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.wait_for(r"(http://127\.0\.0\.1:\d+)")[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """What so many places in the log have that match."""

        def found() -> list[str]:
            return re.findall(pattern, "".join(self.lines))

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, timeout=60), "".join(self.lines)
            return found()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(SECONDS)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(SECONDS)
            self._reader.join(SECONDS)
            self.process.stderr.close()


class Browser:
    """A client with cookies of its own, or those of another one."""

    def __init__(self, server: Server, jar: CookieJar | None = None) -> None:
        self.server, self.jar = server, CookieJar() if jar is None else jar

    def ask(self, page: str, form: dict[str, str] | None = None) -> Any:
        data = None if form is None else urlencode(form).encode()
        with build_opener(HTTPCookieProcessor(self.jar)).open(self.server.url + page, data, SECONDS) as answer:
            return json.load(answer)

    def at(self, server: Server) -> Browser:
        return Browser(server, self.jar)


Serve = Callable[..., Server]


@pytest.fixture
def serve(place: str) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*command: str) -> Server:
        servers.append(Server(list(command), place))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def gunicorn(worker: str) -> list[str]:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed: no real server was asked")
    # gunicorn loses a SIGTERM that meets a worker between its fork and its own handlers, and then waits for it: not long
    options = f"--preload --workers 3 --worker-class {worker} --bind 127.0.0.1:0 --log-level info --graceful-timeout 5"
    return ["-m", "gunicorn", *options.split(), "--chdir", str(EXAMPLES), "flask_app:app"]


@pytest.mark.slow
def test_example_is_short_and_runs(serve: Serve) -> None:
    assert len((EXAMPLES / "flask_app.py").read_text().splitlines()) < 80
    browser = Browser(serve(str(EXAMPLES / "flask_app.py")))
    assert browser.ask("/") == {"user": None, "cart": {}, "messages": []} and not list(browser.jar)
    browser.ask("/cart/tea", {})
    with pytest.raises(HTTPError, match="403"):
        browser.ask("/login", {**ANN, "password": "guess"})
    browser.ask("/login", ANN)
    assert browser.ask("/cart/tea", {}) == {"cart": {"tea": 2}}
    assert browser.ask("/") == {"user": "ann", "cart": {"tea": 2}, "messages": ["Welcome, ann"]}
    assert browser.ask("/")["messages"] == []
    browser.ask("/logout", {})
    assert browser.ask("/")["user"] is None


@pytest.mark.heavy
@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_nothing_acknowledged_is_lost_when_a_worker_is_killed(serve: Serve, worker: str) -> None:
    if find_spec(worker) is None and worker != "sync":
        pytest.skip(f"{worker} is not installed: its workers were not tested")
    server = serve(*gunicorn(worker))
    workers = [int(pid) for pid in server.wait_for(r"Booting worker with pid: (\d+)", 3)]
    ann, elsewhere = Browser(server), Browser(server)
    for browser in (ann, elsewhere):
        browser.ask("/cart/cup", {})
        browser.ask("/login", ANN)
    killed = threading.Event()

    def client(number: int) -> tuple[int, int]:
        """How many additions to the cart were acknowledged, and how many were not."""
        done = lost = 0
        mine = Browser(server, ann.jar)
        for count in range(20):
            if number == 0 and count == 10:
                os.kill(workers[0], signal.SIGKILL)
                killed.set()
            try:
                mine.ask("/cart/tea", {})
                mine.ask(f"/cart/{number}", {})
                done += 1
            except (OSError, HTTPException):  # the worker that was killed had it
                lost += 1
        return done, lost

    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(client, range(8)))
    assert killed.is_set() and sum(lost for _, lost in counted) <= 8
    server.wait_for(r"Booting worker with pid: (\d+)", 4)
    cart = ann.ask("/")["cart"]
    for number, (done, lost) in enumerate(counted):
        assert done <= cart[str(number)] <= done + lost
    assert sum(done for done, _ in counted) <= cart["tea"] <= 160
    server.stop()
    again = serve(*gunicorn(worker))
    ann, elsewhere = ann.at(again), elsewhere.at(again)
    assert (ann.ask("/")["cart"], elsewhere.ask("/")["cart"]) == (cart, {"cup": 1})
    assert ann.ask("/logout/everywhere", {}) == {"ended": 2}
    assert [browser.ask("/")["user"] for browser in (ann, elsewhere)] == [None, None]
