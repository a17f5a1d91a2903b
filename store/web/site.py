"""`Site`: what all pages of one application share; `Page` and `Redirect`: what they return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from store.display.html import Html, Url
from store.mapping.store import Store
from store.opened.arguments import public
from store.system.clock import wall_clock
from store.web.commits import Commits
from store.web.health import Health
from store.web.history import History
from store.web.links import Links, fits
from store.web.place import Place


@dataclass(frozen=True)
class Site:
    """A store, and how its pages are reached. Safe across threads."""

    store: Store[Any]
    """Pages open the namespaces that they show with `within`."""
    links: Links
    history: History = field(default_factory=History)
    writable: bool = False
    """Whether its pages have forms that write."""
    schemas: tuple[type, ...] = ()
    """Classes of settings, for forms of their types."""
    clock: Callable[[], float] = wall_clock
    live: bool = False
    """Whether the application sends events (`Links.events`) that tell which records change."""
    health: Health = field(default_factory=Health)
    place: Place | None = None
    """The file of the store, if its pages are to say that another one has taken its place."""

    @property
    def location(self) -> str:
        """Where the store is, without a password."""
        return public(self.store.location)

    @property
    def name(self) -> str:
        """A short name of the store: that of its file, or its address."""
        location = self.location
        return location if "://" in location else os.path.basename(location) or location

    @contextmanager
    def within(self, namespace: str) -> Iterator[Store[Any]]:
        """The store opened on a namespace, without a read cache of its own."""
        with self.store.within(namespace, cache_bytes=0) as inner:
            yield inner

    @cached_property
    def commits(self) -> Commits:
        """Whether anything was committed to the store."""
        return Commits(self.store)

    def events(self, namespace: str | None, **query: str | int | None) -> Url | None:
        """Where the events of records come from (`Links.events`); None if the application sends none of those."""
        is_sent = self.live and fits(namespace or "", str(query.get("name") or ""))
        return self.links.events(namespace, **query) if is_sent else None


@dataclass(frozen=True)
class Page:
    """The content of a page, without the frame that all of them have."""

    title: str
    body: Html
    status: int = 200
    """The HTTP status."""
    trail: tuple[tuple[str, Url], ...] = ()
    """The pages above this one, as texts and addresses; the first page is left out."""
    live: Url | None = None
    """Where the events come from that tell that this page has changed (server-sent events), if there are any."""
    place: str | None = None
    """The path of this page, where it is one that the header may lead to."""


@dataclass(frozen=True)
class Redirect:
    """Where a form leads that has done its work (303): reloading that page does not submit the form again."""

    url: Url
