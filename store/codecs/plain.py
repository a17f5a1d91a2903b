"""Which plain values a format holds: anything else would come back as something else, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from store.classes.shown import shown, too_large
from store.errors import Corrupt, NotSerializable

MAX_SHOWN = 100_000

Problem = Callable[[Any], str | None]
"""What is wrong with a value of a type that the format holds in general; None where nothing is."""


class Plain(NamedTuple):
    """The plain values of a format. Types are exact: a subclass would come back as its base.

    `leaves` and `keys`: type → what may be wrong with a value of it, or None where nothing can be; `containers`:
    which of list, dict and set it has.
    """

    format: str
    leaves: Mapping[type, Problem | None]
    keys: Mapping[type, Problem | None]
    containers: frozenset[type] = frozenset({list, dict})

    def check(self, value: Any, path: str = "value") -> None:
        """Nothing. Raises: NotSerializable: what it cannot hold, and where that is. RecursionError."""
        if type(value) in self.containers and (items := too_large(value)):
            raise NotSerializable(
                f"{path}: parts of it are in it many times, and {self.format} would have to write each of those, "
                f"{items}; use the codec 'pickle'",
                path=path,
            )
        self._check(value, path)

    def _check(self, value: Any, path: str) -> None:
        kind = type(value)
        if kind in self.leaves:
            self._check_one(value, self.leaves[kind], path)
        elif kind not in self.containers:
            raise NotSerializable(
                f"{path}: {self.format} has no {kind.__qualname__}, it would come back as something else; convert "
                "it, or use the codec 'pickle'",
                path=path,
            )
        elif kind is dict:
            for key, item in value.items():
                self._check_key(key, path)
                self._check(item, f"{path}[{shown(key, 80)}]")
        else:
            for index, item in enumerate(value):
                self._check(item, f"{path}[{index}]")

    def _check_key(self, key: Any, path: str) -> None:
        if type(key) not in self.keys:
            names = ", ".join(kind.__name__ for kind in self.keys)
            raise NotSerializable(
                f"{path}: {self.format} keys are {names}, not {shown(key, 80)}; use the codec 'pickle'", path=path
            )
        self._check_one(key, self.keys[type(key)], f"{path}, the key {shown(key, 80)}")

    def _check_one(self, value: Any, problem: Problem | None, path: str) -> None:
        found = problem and problem(value)
        if found:
            raise NotSerializable(f"{path}: {self.format} cannot hold it: {found}; use the codec 'pickle'", path=path)


def describe_text(body: bytes, decode: Callable[[bytes], Any]) -> tuple[tuple[str, ...], str, str | None]:
    """The description of a body that is text, as `Codec.describe` gives it; `decode` finds what is wrong with it."""
    text = str(body, "utf-8", "backslashreplace")
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}... cut after {MAX_SHOWN} characters"
    try:
        decode(body)
    except Corrupt as exc:
        return (), text, str(exc)
    return (), text, None
