"""Moves an application from Flask-Session to a store, in two ways; its visitors stay logged in.

Run it from anywhere:

    python examples/flask_moving.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from cachelib import FileSystemCache
from flask import Flask, session
from flask_session import Session

from store.integrations.cachelib import StoreCache
from store.integrations.flask import StoreSessionInterface


def make_app() -> Flask:
    """The application, which stays as it is."""
    app = Flask("shop")

    @app.post("/login")
    def log_in() -> str:
        session["user"] = "ann"
        return "logged in"

    @app.get("/")
    def who() -> str:
        return str(session.get("user", "nobody"))

    return app


def visit(app: Flask, cookie: str) -> str:
    """What the visitor with that cookie is told."""
    client = app.test_client()
    client.set_cookie("session", cookie)
    return client.get("/").text


def store_import(*arguments: str | Path) -> None:
    """Runs `store import flask-session …`, as one would in a shell. The folder stays as it is."""
    command = [sys.executable, "-m", "store", "import", "flask-session", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def begin(folder: Path) -> str:
    """The application as it was, with sessions in files; returns the cookie of a visitor who has logged in."""
    app = make_app()
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(folder)))
    Session(app)
    client = app.test_client()
    client.post("/login")
    cookie = client.get_cookie("session")
    assert cookie is not None
    print("with Flask-Session:", visit(app, cookie.value))
    return cookie.value


def move_to_the_store(folder: Path, location: Path, cookie: str) -> None:
    """Without Flask-Session: each session is taken over, with its id, when its visitor comes."""
    store_import(folder, location, "--namespace", "flask-session")
    app = make_app()
    app.session_interface = interface = StoreSessionInterface(location, imported="flask-session")
    print("with a store:", visit(app, cookie), "and a stranger:", visit(app, "A" * 43))
    print("sessions:", len(interface.sessions))
    interface.close()


def keep_flask_session(folder: Path, location: Path, cookie: str) -> None:
    """With Flask-Session, on a cache in place of its folder: the same keys."""
    store_import(folder, location, "--cache")
    app = make_app()
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=StoreCache(location))
    Session(app)
    print("with Flask-Session on a store:", visit(app, cookie))
    app.config["SESSION_CACHELIB"].close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cookie = begin(Path(folder, "sessions"))
        move_to_the_store(Path(folder, "sessions"), Path(folder, "app.db"), cookie)
        keep_flask_session(Path(folder, "sessions"), Path(folder, "cache.db"), cookie)
