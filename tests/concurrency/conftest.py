"""Processes for the tests: programs that start afresh, and forks of the test itself. All are bounded in time."""

from __future__ import annotations

import ast
import os
import pickle
import select
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 60.0  # seconds; nothing here takes more than a few


class Program:
    """A Python program that runs in a process of its own, and talks by lines."""

    def __init__(self, source: str, args: tuple[object, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        number, line = self.process.stdout.fileno(), b""
        while not line.endswith(b"\n"):  # byte by byte: `select` does not see a second line in the buffer of a file
            ready, _, _ = select.select([number], [], [], TIMEOUT)
            assert ready, "the program said nothing"
            byte = os.read(number, 1)
            if not byte:
                break
            line += byte
        return line.decode().rstrip("\n") if line else f"ended: {self.end()}"

    def tell(self, line: str = "") -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str, str]:
        """Exit code, and the rest of stdout and stderr."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out, err

    def output(self) -> str:
        """What it printed, once it has ended well."""
        code, out, err = self.end()
        assert (code, err) == (0, "")
        return out

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        self.process.kill()
        self.process.wait(TIMEOUT)


class Forked:
    """A fork of this process that calls a function."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forks beside threads; we test just that
            self.pid = os.fork()
        if not self.pid:
            _answer(function, write)
        os.close(write)

    def result(self) -> Any:
        """What the function returned; or the exception that it raised, as `TypeName: message`."""
        answer = b""
        try:
            while True:
                ready, _, _ = select.select([self._read], [], [], TIMEOUT)
                if not ready:
                    os.kill(self.pid, signal.SIGKILL)
                    raise AssertionError("the child hangs")
                part = os.read(self._read, 65536)
                if not part:
                    break
                answer += part
        finally:
            os.close(self._read)
            _, status = os.waitpid(self.pid, 0)
        assert status == 0, f"the child ended with status {status}"
        return pickle.loads(answer)

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._read)


def _answer(function: Callable[[], Any], write: int) -> None:
    code = 1
    try:
        try:
            answer = function()
        except BaseException as exc:
            answer = f"{type(exc).__name__}: {exc}"
        with open(write, "wb") as stream:
            pickle.dump(answer, stream)
        code = 0
    finally:
        os._exit(code)


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """`program(source, *args)` starts a Python program; `store` is imported by it, `args` are in `sys.argv`."""
    started: list[Program] = []

    def start(source: str, *args: object) -> Program:
        started.append(Program(source, args))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate(timeout=TIMEOUT)


@pytest.fixture
def forked() -> Callable[[Callable[[], Any]], Forked]:
    """`forked(function)` calls a function in a fork of this process."""
    return Forked


@pytest.fixture
def seen(path: Path, program: Callable[..., Program]) -> Callable[[], dict[str, Any]]:
    """`seen()` is what a third process, started now, finds in the store."""
    source = """
        import sys
        from store import Store
        with Store(sys.argv[1], mode="r") as s:
            print(dict(s))
    """
    return lambda: ast.literal_eval(program(source, path).output())
