"""diskcache and `store.compat.diskcache` for the same tests: the fixture `dc` is the one and the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

THEIRS, OURS = "diskcache", "store.compat.diskcache"


def load(name: str) -> ModuleType:
    """The library of that name. Skips loudly where diskcache is not installed."""
    if name == THEIRS:
        pytest.importorskip("diskcache", reason="diskcache is not installed: nothing was compared with it")
    return import_module(name)


@pytest.fixture(params=[THEIRS, OURS])
def dc(request: pytest.FixtureRequest) -> ModuleType:
    """Each of the two libraries."""
    return load(request.param)


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """`opened(cache)` is the cache, which is closed after the test."""
    caches: list[Any] = []

    def remember(cache: Any) -> Any:
        caches.append(cache)
        return cache

    yield remember
    for cache in reversed(caches):
        close(cache)


def close(cache: Any) -> None:
    """Closes a cache, or that of an index or deque."""
    (cache if hasattr(cache, "close") else cache.cache).close()


@pytest.fixture
def cache(dc: ModuleType, tmp_path: Path, opened: Callable[[Any], Any]) -> Any:
    """An empty cache."""
    return opened(dc.Cache(tmp_path / "cache"))


class Clock:
    """What `time.time()` gives while a test runs."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Both libraries look `time.time` up at each call, so that a test can set the time."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock
