"""`examples/fastapi_app.py` as it is deployed: uvicorn with two workers, eight clients, one worker killed, a restart."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NamedTuple

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT_SECONDS = 60
CLIENTS, ROUNDS = 8, 25

pytest.importorskip("fastapi", reason="fastapi is not installed: the example is not tested")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: the example is not tested with a server")

# The example, and a page that says which worker has answered.
SERVED = """
import os
from fastapi_app import app
app.add_api_route("/pid", lambda: os.getpid())
"""


class Reply(NamedTuple):
    status: int
    cookie: str | None
    json: Any


class Server:
    """uvicorn on a free port of loopback, with two workers that have started.

    The port listens before that: uvicorn says that it has started when it does not listen yet.
    """

    def __init__(self, folder: Path, location: str, *, reload: bool = False) -> None:
        (folder / "served.py").write_text(SERVED)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        command = [
            sys.executable, "-m", "uvicorn", "served:app", *(["--reload"] if reload else ["--workers", "2"]), "--fd", str(self.listening.fileno()),
            "--no-access-log", "--timeout-graceful-shutdown", "5",
        ]  # fmt: skip
        environment = {**os.environ, "STORE_LOCATION": location, "PYTHONPATH": f"{folder}:{EXAMPLES}"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True, cwd=folder,
            pass_fds=[self.listening.fileno()],
        )
        self.lines = Queue[str]()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        for _ in range(1 if reload else 2):
            self.hear("Application startup complete")

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.lines.put(line)
        self.lines.put("")

    def hear(self, text: str, timeout: float = WAIT_SECONDS) -> str:
        """The next line of the log that has the text. Raises: Empty: nothing more is written."""
        heard = []
        while text not in (line := self.lines.get(timeout=timeout)):
            heard.append(line)
            assert line, "".join(heard)
        return line

    def ask(self, method: str, path: str, cookie: str | None = None) -> Reply:
        """Raises: OSError, HTTPException: there was no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        try:
            connection.request(method, path, headers={} if cookie is None else {"Cookie": cookie})
            answer = connection.getresponse()
            set_cookie = answer.getheader("set-cookie")
            return Reply(answer.status, set_cookie and set_cookie.partition(";")[0], json.loads(answer.read()))
        finally:
            connection.close()

    def stop(self) -> None:
        """As a deployment does. What does not stop in time is killed."""
        self.process.terminate()
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(WAIT_SECONDS)
        self.listening.close()
        self._reader.join(WAIT_SECONDS)


@pytest.fixture
def serve(tmp_path: Path, place: str) -> Iterator[Any]:
    servers: list[Server] = []

    def start_one(**how: Any) -> Server:
        servers.append(Server(tmp_path, place, **how))
        return servers[-1]

    yield start_one
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def log_in(server: Server, cookie: str | None = None) -> str:
    reply = server.ask("POST", "/login?name=ann&password=correct%20horse", cookie)
    assert (reply.status, reply.json) == (200, "welcome, ann")
    assert reply.cookie not in (None, cookie)
    return str(reply.cookie)


def fill(server: Server, cookie: str, client: int, half_way: threading.Barrier) -> tuple[Counter[str], Counter[str]]:
    """Adds its own item and one that all clients add; returns what was acknowledged, and what had no answer."""
    acknowledged, unanswered = Counter[str](), Counter[str]()
    for turn in range(ROUNDS):
        if turn == ROUNDS // 2:
            half_way.wait(WAIT_SECONDS)
        for item in (f"item{client}", "tea"):
            try:
                reply = server.ask("POST", f"/cart/{item}", cookie)
            except (OSError, http.client.HTTPException):  # the worker was killed
                unanswered[item] += 1
                continue
            assert reply.status == 200
            acknowledged[item] += 1
    return acknowledged, unanswered


@pytest.mark.heavy
def test_nothing_acknowledged_is_lost(serve):
    server = serve()
    guest = server.ask("POST", "/cart/cups").cookie
    cookie = log_in(server, guest)
    assert server.ask("GET", "/cart", guest).json == {}
    phone = log_in(server)
    half_way = threading.Barrier(CLIENTS + 1)
    with ThreadPoolExecutor(CLIENTS) as pool:
        filling = [pool.submit(fill, server, cookie, client, half_way) for client in range(CLIENTS)]
        victim = server.ask("GET", "/pid").json
        half_way.wait(WAIT_SECONDS)
        os.kill(victim, signal.SIGKILL)
        acknowledged, unanswered = Counter[str](), Counter[str]()
        for one in filling:
            done, lost = one.result()
            acknowledged += done
            unanswered += lost
    assert sum(acknowledged.values()) + sum(unanswered.values()) == 2 * CLIENTS * ROUNDS
    server.stop()

    server = serve()
    cart = server.ask("GET", "/cart", cookie).json
    assert cart.pop("cups") == 1
    assert cart.keys() == acknowledged.keys()
    for item, count in cart.items():
        assert acknowledged[item] <= count <= acknowledged[item] + unanswered[item]
    reply = server.ask("POST", "/logout?everywhere=true", phone)
    assert (reply.status, reply.cookie, reply.json) == (200, "session=null", 2)
    for dead in (cookie, phone, guest):
        assert server.ask("GET", "/cart", dead).json == {}
        assert server.ask("POST", "/logout", dead).status == 401


@pytest.mark.heavy
def test_reload_keeps_the_sessions(serve, tmp_path):
    server = serve(reload=True)
    cookie = server.ask("POST", "/cart/tea").cookie
    for edit in range(1, 12):  # uvicorn may not have looked at the file before the first edit, and each restarts it again
        (tmp_path / "served.py").write_text(f"{SERVED}\n# edited {edit}\n")
        try:
            server.hear("Application startup complete", timeout=edit)
            break
        except Empty:
            pass
    assert server.ask("GET", "/cart", cookie).json == {"tea": 1}
