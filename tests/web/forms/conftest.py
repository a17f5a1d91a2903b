"""A store with forms, and one that only shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from store import Store
from store.web.links import Links
from store.web.site import Site


@pytest.fixture
def s(clock: Callable[[], float]) -> Iterator[Store]:
    with Store(":memory:", clock=clock) as opened:
        yield opened


@pytest.fixture
def site(s: Store, clock: Callable[[], float]) -> Site:
    return Site(s, Links("/token"), clock=clock, writable=True)
