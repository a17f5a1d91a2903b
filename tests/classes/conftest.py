"""Modules that come, go and move while a test runs, and the two ways to decode what was written by them."""

from __future__ import annotations

import importlib
import pickle as stdlib
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from store.classes import allowlist
from store.classes.lookup import Lookup
from store.codecs import pickle

SOURCE = """
    import collections, dataclasses, enum

    class Same:
        def __eq__(self, other):
            return type(self) is type(other) and vars(self) == vars(other)

        __hash__ = None

    class User(Same):
        def __init__(self, name):
            self.name = name

    class Key:
        def __eq__(self, other):
            return type(self) is type(other)

        def __hash__(self):
            return 7

    class Outer(Same):
        class Inner(Same):
            def __init__(self, name):
                self.name = name

            class Innermost(Same):
                pass

    class Color(enum.Enum):
        RED = 1

    Point = collections.namedtuple("Point", "x y")

    class Broken(Same, Exception):
        pass

    @dataclasses.dataclass
    class Item:
        name: str
        price: float = 0.0

    @dataclasses.dataclass(frozen=True, slots=True)
    class Fixed:
        name: str

    class Slotted:
        __slots__ = ("name", "empty")

        def __init__(self, name):
            self.name = name

        def __eq__(self, other):
            return type(self) is type(other) and self.name == other.name

    class Bag(Same, dict):
        pass

    class Row(Same, list):
        pass

    def shout(text):
        return text.upper()
"""

VALUES = {
    "class": "User('Ada')", "nested": "Outer.Inner('Ada')", "innermost": "Outer.Inner.Innermost()",
    "enum": "Color.RED", "namedtuple": "Point(1, 2)", "exception": "Broken('a', 1)", "dataclass": "Item('a', 2.5)",
    "frozen": "Fixed('a')", "dict": "Bag(a=1)", "list": "Row('ab')", "itself": "User", "nested itself": "Outer.Inner",
}  # fmt: skip


class Modules:
    """Modules of source text, which are there from `add` to `remove`."""

    source = SOURCE

    def __init__(self) -> None:
        self._added: set[str] = set()
        self._made: dict[tuple[str, str], ModuleType] = {}  # dataclasses are slow to make

    def add(self, name: str, source: str = SOURCE) -> Any:
        parent, _, last = name.rpartition(".")
        known = self._made.get((name, source))
        module = known or ModuleType(name)
        if parent:
            setattr(sys.modules.get(parent) or self.add(parent, ""), last, module)
        sys.modules[name] = module
        self._added.add(name)
        if known is None:
            module.__path__ = []  # type: ignore[attr-defined]
            exec(compile(dedent(source), name, "exec", dont_inherit=True), vars(module))
            if "store" not in source:  # what it declares would have to be declared again
                self._made[name, source] = module
        return module

    def remove(self, name: str) -> None:
        """The module, and what is in it, is not there any more."""
        for other in [other for other in self._added if f"{other}.".startswith(f"{name}.")]:
            parent, _, last = other.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)
            sys.modules.pop(other, None)
            self._added.discard(other)

    def pickled(self, name: str, expression: str, protocol: int = 5, source: str = SOURCE) -> bytes:
        """A pickle of what a module made that is gone now."""
        module = self.add(name, source)
        body = stdlib.dumps(eval(expression, vars(module)), protocol)
        self.remove(name)
        return body

    def clear(self) -> None:
        for name in list(self._added):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()


@pytest.fixture
def modules() -> Iterator[Modules]:
    found = Modules()
    yield found
    found.clear()


@pytest.fixture
def values() -> dict[str, str]:
    """Kinds of objects that `modules.add` can make by default: name → expression."""
    return VALUES


Decode = Callable[..., Any]


def _full(body: bytes, renames: Any = None, allow: Any = ()) -> Any:
    return pickle.codec.decode(body, lookup=Lookup(renames))


def _restricted(body: bytes, renames: Any = None, allow: Any = ()) -> Any:
    return pickle.codec.decode_restricted(body, allow=allowlist.allowed(allow), lookup=Lookup(renames))


@pytest.fixture(params=[_full, _restricted], ids=["full", "restricted"])
def decode(request: pytest.FixtureRequest) -> Decode:
    """`decode(body, renames, allow)`: as a store decodes records of its own, and those of others."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def restricted() -> Decode:
    return _restricted


@pytest.fixture
def full() -> Decode:
    return _full


@pytest.fixture
def gone() -> Decode:
    """Decodes with placeholders for what is gone."""
    return lambda body, renames=None: pickle.codec.decode(body, lookup=Lookup(renames, placeholders=True))
