"""Deleting the records whose names begin with a prefix, after a page that shows which these are.

The form carries a digest of the names and versions that were counted, so exactly the records that were agreed to are
deleted, as one transaction, and only so many at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from store.display.html import Html, element, joined
from store.display.text import cut
from store.errors import Conflict
from store.mapping.store import Store
from store.web.forms.controls import about, button, described, form, labelled, trouble
from store.web.forms.refusals import REFUSALS, problem_of
from store.web.forms.target import Target, target_in
from store.web.forms.trails import namespace_step
from store.web.parts.tables import counted
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of

MOST = 10_000  # records: one transaction, which other writers wait for
MOST_OPTIMISTIC = 500  # of one that the client buffers, which is bounded
LISTED = 20


def prefix_page(site: Site, namespace: str, prefix: str) -> Page:
    """The question whether to delete the records of a prefix."""
    if not prefix:
        return _page(site, namespace, element("p", "Type how the names begin."), "no prefix", 400)
    with site.within(namespace) as s:
        return _question(site, s, namespace, prefix)


def submit_prefix(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Deletes the records that were shown; without a digest of them, shows them first."""
    target = target_in(fields)
    prefix = fields.get("prefix", target.name)
    if target.version is None or not prefix:
        return prefix_page(site, target.namespace, prefix)
    with site.within(target.namespace) as s:
        try:
            names = s.transact(lambda inside: _deleted(inside, target))
        except REFUSALS as exc:
            return _question(site, s, target.namespace, prefix, exc)
    now = site.clock()
    for name in names:
        site.history.note(target.namespace, name, None, now)
    return Redirect(site.links.namespace(target.namespace))


def _deleted(s: Store[Any], target: Target) -> list[str]:
    names, digest = _found(s, target.name)
    if digest != target.version:
        raise Conflict("the records that begin so are others than those that were shown: look at them again")
    s.delete_many(names)
    return names


def _found(s: Store[Any], prefix: str) -> tuple[list[str], str]:
    """The first names, and a digest of these records. Raises: Corrupt: one has damaged metadata."""
    digest, names = hashlib.sha256(), []
    for record in s.records(prefix, limit=_most(s)):
        digest.update(json.dumps([record.name, record.version]).encode())
        names.append(record.name)
    return names, digest.hexdigest()


def _most(s: Store[Any]) -> int:
    """How many records are deleted at a time."""
    return MOST_OPTIMISTIC if s.opened.is_optimistic else MOST


def _question(site: Site, s: Store[Any], namespace: str, prefix: str, error: Exception | None = None) -> Page:
    trailing = [] if error is None else [trouble(f"{problem_of(error)}. Nothing was deleted.")]
    status = 200 if error is None else status_of(error)
    try:
        names, digest = _found(s, prefix)
    except REFUSALS as exc:  # one is damaged: it is deleted by itself, or by a longer prefix
        return _page(
            site, namespace, trouble(f"{problem_of(exc)}. Delete that record first."), prefix, status_of(exc)
        )
    if not names:
        return _page(site, namespace, joined([*trailing, element("p", "No name begins so.")]), prefix, status)
    cancel = element("a", "Cancel", href=site.links.namespace(namespace))
    ask = form(
        site,
        "delete-prefix",
        about(Target(namespace, prefix, digest)),
        element("p", button(f"Delete {counted(len(names), 'record')}", "danger"), " ", cancel),
    )
    return _page(site, namespace, joined([*trailing, _listed(names, _most(s)), ask]), prefix, status)


def prefix_form(site: Site, namespace: str) -> Html:
    """The field for the prefix, which leads to the question."""
    control = element("input", name="prefix", required=True, **described("delete-prefix"))
    field = labelled("delete-prefix", "Delete the records whose names begin with", control)
    ask = element("p", button("Show them first"))
    return form(site, "delete-prefix", about(Target(namespace, "")), field, ask)


def _listed(names: list[str], most: int) -> Html:
    items = [element("li", element("code", cut(name))) for name in names[:LISTED]]
    if len(names) > LISTED:
        items.append(element("li", f"… and {len(names) - LISTED:,} more"))
    whole = (
        element("p", f"At most {most:,} are deleted at a time: these are the first in the order of their names.")
        if len(names) == most
        else None
    )
    return joined([element("p", f"{counted(len(names), 'record')} would be deleted:"), whole, element("ul", *items)])


def _page(site: Site, namespace: str, body: Html, prefix: str, status: int = 200) -> Page:
    trail = (namespace_step(site, namespace),)
    return Page(f"Delete the records that begin with {cut(prefix)}?", body, status=status, trail=trail)
