"""Pages of a store without a server: `show(path, **query)` returns the document that a browser would be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import page_reading
import pytest

from store import Store
from store.web.health import Health
from store.web.links import Links
from store.web.pages.layout import document
from store.web.routing import page_of
from store.web.site import Site

Show = Callable[..., page_reading.Node]


@pytest.fixture
def site(s: Store[Any], clock: Callable[[], float]) -> Site:
    return Site(s, Links("/t"), clock=clock, health=Health(wait=60))


@pytest.fixture
def show(site: Site) -> Show:
    def show(path: str = "", status: int = 200, **query: str) -> page_reading.Node:
        page = page_of(site, path, query)
        assert page.status == status, page.title
        return page_reading.read(document(site, page))

    return show
