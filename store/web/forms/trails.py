"""The pages above a form, for its trail."""

from __future__ import annotations

from store.display.html import Url
from store.web.parts.naming import namespace_text, record_text
from store.web.site import Site

Step = tuple[str, Url]


def namespace_step(site: Site, namespace: str) -> Step:
    """The page of a namespace."""
    return namespace_text(namespace), site.links.namespace(namespace)


def record_step(site: Site, namespace: str, name: str) -> Step:
    """The page of a record."""
    return record_text(name), site.links.record(namespace, name)
