"""Deleting one record, after a page that names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.display.html import Html, element, joined
from store.display.text import cut
from store.errors import Conflict, Corrupt
from store.mapping.store import Store
from store.rows.record import Record
from store.web.forms.controls import about, button, form, trouble
from store.web.forms.refusals import REFUSALS, missing, problem_of
from store.web.forms.target import Target, record_or_none, target_in
from store.web.forms.trails import namespace_step
from store.web.parts.naming import record_text
from store.web.parts.tables import facts, notice, number, section, size
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of
from store.web.values.times import countdown, moment

_DAMAGED = "Its metadata is damaged, so its state cannot be compared. It can only be deleted."


def delete_page(site: Site, namespace: str, name: str) -> Page:
    """The question whether to delete a record."""
    with site.within(namespace) as s:
        return _question(site, s, Target(namespace, name))


def submit_delete(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Deletes the record, if it is still in the state that was shown."""
    target = target_in(fields)
    with site.within(target.namespace) as s:
        try:
            _delete(s, target)
        except REFUSALS as exc:
            return _question(site, s, target, exc)
    site.history.note(target.namespace, target.name, None, site.clock())
    return Redirect(site.links.namespace(target.namespace))


def _delete(s: Store[Any], target: Target) -> None:
    """Raises: Conflict: it is in another state. StoreError."""
    if target.version is not None:
        s.delete(target.name, if_version=target.version)
        return
    try:
        record_or_none(s, target.name)
    except Corrupt:  # which has no version that could be compared
        s.delete(target.name)
        return
    raise Conflict("the record is not the one that was shown: look at it again")


def _question(site: Site, s: Store[Any], target: Target, error: Exception | None = None) -> Page:
    """The record as it is now; after an error, with the reason."""
    try:
        record = record_or_none(s, target.name)
    except Corrupt:
        shown = notice("error", _DAMAGED)
        record = None
    else:
        if record is None:
            return missing(site, target.namespace, target.name)
        shown = _described(record, site.clock())
    problem = None if error is None else trouble(f"{problem_of(error)}. Nothing was deleted.")
    cancel = element("a", "Cancel", href=site.links.record(target.namespace, target.name))
    ask = form(
        site, "delete", about(target.at(record)), element("p", button("Delete this record", "danger"), " ", cancel)
    )
    return Page(
        f"Delete {record_text(target.name)}?",
        joined([problem, shown, ask]),
        status=200 if error is None else status_of(error),
        trail=(namespace_step(site, target.namespace),),
    )


def _described(record: Record, now: float) -> Html:
    return section(
        "Record",
        facts(
            [
                ("Type", element("code", cut(record.type or "?"))),
                ("Size", size(record.size)),
                ("Revision", number(record.revision)),
                ("Changed", moment(record.modified, now)),
                ("Expires", countdown(record.expires, now)),
            ]
        ),
    )
