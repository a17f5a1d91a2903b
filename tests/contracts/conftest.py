"""The kinds of store that the contract of the mapping is run on; each gives one that is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from awaited import Awaited

from store import Store

Kind = Callable[[Path, ExitStack], Store[Any]]

KINDS: dict[str, Kind] = {
    "file": lambda path, stack: stack.enter_context(Store(path)),
    "memory": lambda path, stack: stack.enter_context(Store(":memory:")),
    "namespace": lambda path, stack: _neighboured(path, stack),  # noqa: PLW0108 - it is defined below
    "writeback": lambda path, stack: stack.enter_context(Store(path, writeback=True)),
    "json": lambda path, stack: stack.enter_context(Store(path, codec="json")),
    "async": lambda path, stack: stack.enter_context(Awaited(path)),
    "options": lambda path, stack: stack.enter_context(Store(path, protocol=0, ttl=1e6, durability="full")),
}


def _neighboured(path: Path, stack: ExitStack) -> Store[Any]:
    """One among others that have records under the same names, which must not shine through."""
    outer = stack.enter_context(Store(path))
    outer.update(dict.fromkeys(("a", "b", "c", "new", "n0"), "of the outer namespace"))
    stack.enter_context(outer.within("inne"))["a"] = "of a neighbour"
    stack.enter_context(outer.within("inner2"))["b"] = "of another neighbour"
    return stack.enter_context(outer.within("inner"))


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, path: Path) -> Iterator[Store[Any]]:
    """An empty store of each kind."""
    with ExitStack() as stack:
        yield KINDS[request.param](path, stack)


@pytest.fixture
def full(empty: Store[Any]) -> Store[Any]:
    """The same with the records a, b and c."""
    empty["a"], empty["b"], empty["c"] = 1, "two", [3]
    return empty
