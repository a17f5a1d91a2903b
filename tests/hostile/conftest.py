"""A sound store, and a way to do to it what anybody who can write its file can do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store

KEY = b"the key of these tests"


@pytest.fixture
def sound(path: Path, clock: Any) -> Path:
    """A store of three records, one of them with a lifetime."""
    with Store(path, key=KEY, clock=clock) as s:
        s.update(a=1, b={"x": 2})
        s.put("short", "lived", ttl=1000)
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened beside a database."""
    names: list[str] = []
    plain = os.open

    def watched(name: Any, *args: Any, dir_fd: int | None = None, **options: Any) -> int:
        if dir_fd is not None:
            names.append(str(name))
        return plain(name, *args, dir_fd=dir_fd, **options)

    monkeypatch.setattr(os, "open", watched)
    return names


@pytest.fixture
def plant() -> Callable[[Path, str], None]:
    """Runs a script on a file: `plant(path, script)`; the schema's own text can be altered as well."""

    def plant(path: Path, script: str) -> None:
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA writable_schema = ON")
            conn.executescript(script)
            conn.commit()
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    return plant


HERE = Path(__file__).parent


class Runner:
    """Asks `run_one.py`, which forks a process for each stream."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(
        self, name: str, *, entry: str = "loads", trust: str = "data", thread: bool = False
    ) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"name": name, "entry": entry, "trust": trust, "thread": thread}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs a stream in a process of its own, and tells what came of it."""
    home = str(tmp_path_factory.mktemp("home"))
    environment = {**os.environ, "HOME": home, "XDG_DATA_HOME": home}
    with subprocess.Popen(
        [sys.executable, str(HERE / "run_one.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        yield Runner(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
