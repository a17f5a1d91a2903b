"""The notice on the page that a form leads to: the work is done. Its address names the action."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from store.display.html import Html, Url
from store.web.parts.tables import notice
from store.web.site import Site

FIELD = "done"
_SAID = {
    "set": "The value was set.",
    "touch": "The lifetime was set.",
    "delete": "The record was deleted.",
    "delete-prefix": "The records were deleted.",
    "admit": "The record was admitted.",
    "settings": "The settings were saved.",
}


def after(url: Url, action: str) -> Url:
    """The address of a page that says that the action is done. The script of the page takes that out again."""
    if action not in _SAID:
        return url
    return Url(f"{url}{'&' if '?' in url else '?'}{urlencode({FIELD: action})}")


def done(site: Site, query: Mapping[str, str]) -> Html | None:
    """A notice of the work, where the address names one; None on a site that only shows."""
    said = _SAID.get(query.get(FIELD, "")) if site.writable else None
    return None if said is None else notice("good", said)
