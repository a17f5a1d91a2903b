"""The shop of `examples/django_project`: its server, and browsers that visit it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

PROJECT = Path(__file__).parents[2] / "examples" / "django_project"
SAMPLES = Path(__file__).parent
PASSWORD = "a long one for the tests"
SECONDS = 60.0


class Shop:
    """The data of a shop, and gunicorn on a free port of loopback.

    The socket is the test's: a connection waits in it while no server runs, so nobody has to ask whether one does.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.environment = {**os.environ, "SHOP_DATA": str(folder), "PYTHONWARNINGS": "error::UserWarning", **settings}
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.server: subprocess.Popen[bytes] | None = None
        self.log = folder / "server.log"

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def manage(self, *command: str, **environment: str) -> str:
        """What a command of `manage.py` prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=PROJECT, env={**self.environment, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def add_user(self, name: str) -> None:
        self.manage(
            "createsuperuser", "--noinput", "--username", name, "--email", f"{name}@example.org",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )  # fmt: skip

    def start(self, *options: str, application: str = "shop.wsgi", folder: Path = PROJECT) -> None:
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", *options, "--no-control-socket", "--graceful-timeout", "5",
                 "--bind", f"fd://{self.socket.fileno()}", application],
                cwd=folder, env=self.environment, pass_fds=[self.socket.fileno()], stdout=log, stderr=log,
            )  # fmt: skip

    def workers(self) -> list[int]:
        """The processes that serve now."""
        assert self.server is not None
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def kill_a_worker(self) -> None:
        os.kill(self.workers()[0], signal.SIGKILL)

    def stop(self) -> None:
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(SECONDS)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            self.server.kill()
            self.server.wait(SECONDS)
        self.server = None

    def close(self) -> None:
        self.stop()
        self.socket.close()


class Browser:
    """A client with cookies, as a browser has them; a copy shares none with it."""

    def __init__(self, shop: Shop, cookies: dict[str, str] | None = None) -> None:
        self.shop, self.cookies = shop, dict(cookies or {})

    def copy(self) -> Browser:
        return Browser(self.shop, self.cookies)

    def ask(self, method: str, path: str, **form: str) -> tuple[int, str]:
        """Status and body. Raises: OSError, HTTPException: no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.shop.port, timeout=SECONDS)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method == "POST":
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": self.cookies.get("csrftoken", "")}
        try:
            connection.request(method, path, urlencode(form), headers)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0" or not morsel.value:
                    del self.cookies[name]
        return response.status, body
