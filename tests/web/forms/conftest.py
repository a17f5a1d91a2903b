"""A store with forms, and one that only shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store import Store
from store.web.links import Links
from store.web.site import Site


@pytest.fixture
def s() -> Iterator[Store]:
    with Store(":memory:") as opened:
        yield opened


@pytest.fixture
def site(s: Store) -> Site:
    return Site(s, Links("/token"), writable=True)
