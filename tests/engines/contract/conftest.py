"""The contract's suite runs on every engine that `--engine` names; what an engine cannot do is skipped by capability."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sealed_rows import NOW
from server_urls import SERVERS, url_fixture

from store.engines.contract import Engine
from store.engines.registry import engines
from store.errors import StoreError

Opener = Callable[[], Engine]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", metafunc.config.getoption("--engine").split(","), scope="session")


@pytest.fixture
def location(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where the engine opens a new store."""
    if kind in SERVERS:
        url: str = request.getfixturevalue(url_fixture(kind))
        return url
    places = {"sqlite": str(tmp_path / "contract.db"), "memory": ":memory:"}
    if kind not in places:
        pytest.skip(f"ENGINE {kind} CANNOT BE HAD HERE: no server was named")
    return places[kind]


@pytest.fixture
def engine(kind: str, location: str) -> Iterator[Engine]:
    try:
        opened = engines.load(SERVERS.get(kind, kind))(location, mode="c", timeout=5.0, durability="normal")
    except (ImportError, StoreError) as exc:
        pytest.skip(f"ENGINE {kind} CANNOT BE HAD HERE: {exc}")
    yield opened
    opened.close()


@pytest.fixture
def second(engine: Engine) -> Iterator[Engine]:
    """Another handle on the same store."""
    other = engine.share()
    yield other
    other.close()


@pytest.fixture
def capable(engine: Engine) -> Callable[[str], Any]:
    """Gives a capability of the engine, or skips."""

    def of(name: str) -> Any:
        capability = getattr(engine, name)
        if capability is None:
            pytest.skip(f"the engine {engine.kind} has no {name}")
        return capability

    return of


@pytest.fixture
def now() -> float:
    return NOW
