"""A store of the second process, as the first one uses it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .model_values import SAMPLES

PROGRAM = Path(__file__).with_name("model_second.py")


class SecondProcess:
    """One for all examples: it costs a start of the interpreter."""

    def __init__(self) -> None:
        paths = os.pathsep.join([SAMPLES, str(Path(__file__).parents[2])])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        self._handles = 0

    def open(self, clock: Callable[[], float], path: Path, options: dict[str, Any]) -> Remote:
        self._handles += 1
        remote = Remote(self, self._handles, clock, options.get("namespace", ""), options.get("ttl"))
        remote.ask("open", str(path), options)
        return remote

    def ask(self, *request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump(request, self._process.stdin, protocol=5)
        self._process.stdin.flush()
        done, answer = pickle.load(self._process.stdout)
        if done:
            return answer
        raise answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Remote:
    """The methods of `Store` that the rules call, by name."""

    def __init__(
        self, second: SecondProcess, handle: int, clock: Callable[[], float], namespace: str, ttl: float | None
    ) -> None:
        self._second, self._handle, self._clock = second, handle, clock
        self.namespace = namespace
        self.ttl = ttl

    def ask(self, what: str, *args: Any, **named: Any) -> Any:
        return self._second.ask(self._clock(), self._handle, what, args, named)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        return lambda *args, **named: self.ask(method, *args, **named)

    def __getitem__(self, name: str) -> Any:
        return self.ask("__getitem__", name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.ask("__setitem__", name, value)

    def __delitem__(self, name: str) -> None:
        self.ask("__delitem__", name)

    def __contains__(self, name: str) -> bool:
        return bool(self.ask("__contains__", name))
