"""Programs that run beside a test as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import pytest

from store.classes import allowlist

WAIT_SECONDS = 600  # until a program ends; the timeout of its test comes first

# The first lines of a program that is to be killed: what it holds on a server is free again after so many seconds.
SHORT_LEASES = """
from store.engines.leases import Leases
Leases.__init__.__defaults__ = (2.0,)
"""

Start = Callable[..., "Child"]
Crowd = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """What a test declares with `store.allow` holds for that test only."""
    before = dict(allowlist._declared)
    yield
    allowlist._declared.clear()
    allowlist._declared.update(before)


class Child:
    """A Python program that talks in lines: `say` is its `input()`, `hear` its `print()`."""

    def __init__(self, code: str, *args: object) -> None:
        command = [sys.executable, "-W", "error", "-c", dedent(code), *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program ended without a word; its traceback is in the captured stderr"
        return line.rstrip("\n")

    def ask(self, code: str) -> str:
        """What a program that evaluates each line answers to one."""
        self.say(code)
        return self.hear()

    def result(self) -> Any:
        """Its last line as JSON, after it has ended well."""
        output, _ = self.process.communicate(timeout=WAIT_SECONDS)
        assert self.process.returncode == 0
        return json.loads(output.splitlines()[-1])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program: `start(code, *args)`. It is killed with the test if it has not ended by then."""
    children: list[Child] = []

    def start_one(code: str, *args: object) -> Child:
        children.append(Child(code, *args))
        return children[-1]

    yield start_one
    for child in children:
        child.end()


@pytest.fixture
def crowd(start: Start) -> Crowd:
    """Runs `n` copies of a program at once: `crowd(n, code, *args)`; gives what each printed last, as JSON.

    A copy's last argument is its number; they all begin when the last one has imported and said it is ready.
    """

    def run(n: int, code: str, *args: object) -> list[Any]:
        preamble = "import json, sys\nfrom store import Store\nprint('ready', flush=True)\ninput()\n"
        children = [start(preamble + dedent(code), *args, number) for number in range(n)]
        for child in children:
            assert child.hear() == "ready"
        for child in children:
            child.say()
        return [child.result() for child in children]

    return run
