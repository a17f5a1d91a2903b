"""The kinds of store that the contract of the mapping is run on; each gives one that is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from awaited import Awaited

from store import Store
from store.cache import Cache
from store.mapping.sharding.sharded import open_shards

Kind = Callable[[str, ExitStack], Store[Any]]

KINDS: dict[str, Kind] = {
    "plain": lambda location, stack: stack.enter_context(Store(location)),
    "namespace": lambda location, stack: _neighboured(location, stack),  # noqa: PLW0108 - it is defined below
    "writeback": lambda location, stack: stack.enter_context(Store(location, writeback=True)),
    "json": lambda location, stack: stack.enter_context(Store(location, codec="json")),
    "shards": lambda location, stack: stack.enter_context(open_shards(location, "many", 4, "memo", {})),  # type: ignore[dict-item]
    "cache of shards": lambda location, stack: stack.enter_context(Cache(location, shards=3)),  # type: ignore[dict-item]
    "cache": lambda location, stack: stack.enter_context(Cache(location)),  # type: ignore[dict-item]
    "async": lambda location, stack: stack.enter_context(Awaited(location)),
    "options": lambda location, stack: stack.enter_context(Store(location, protocol=0, ttl=1e6, **_durable(location))),
}


def _durable(location: str) -> dict[str, Any]:
    return {} if location == ":memory:" else {"durability": "full"}  # it fails in memory


def _neighboured(location: str, stack: ExitStack) -> Store[Any]:
    """A namespace between others that have records of the same names, which must not show."""
    outer = stack.enter_context(Store(location))
    outer.update(dict.fromkeys(("a", "b", "c", "new", "n0"), "of the outer namespace"))
    stack.enter_context(outer.within("inne"))["a"] = "of a neighbour"
    stack.enter_context(outer.within("inner2"))["b"] = "of another neighbour"
    return stack.enter_context(outer.within("inner"))


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, location: str) -> Iterator[Store[Any]]:
    """An empty store of each kind, on each engine."""
    with ExitStack() as stack:
        yield KINDS[request.param](location, stack)


@pytest.fixture
def full(empty: Store[Any]) -> Store[Any]:
    """The same with the records a, b and c."""
    empty["a"], empty["b"], empty["c"] = 1, "two", [3]
    return empty
