"""Giving a record a new lifetime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.display.html import Html, element, joined
from store.errors import Conflict
from store.mapping.store import Store
from store.opened.sentinels import UNSET
from store.rows.record import Record
from store.web.forms import lifetimes
from store.web.forms.controls import about, button, form, trouble
from store.web.forms.refusals import REFUSALS, missing, problem_of
from store.web.forms.target import Target, record_or_none, target_in
from store.web.forms.trails import namespace_step, record_step
from store.web.parts.naming import record_text
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of


def touch_form(site: Site, record: Record, given: Mapping[str, str]) -> Html:
    """The form for the lifetime of a record, whose value it does not decode."""
    return form(
        site,
        "touch",
        about(Target(record.namespace, record.name, record.version)),
        lifetimes.controls(record, site.clock(), given),
        element("p", button("Set the lifetime")),
    )


def submit_touch(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Sets the lifetime, if the record is still in the state that was shown."""
    target = target_in(fields)
    with site.within(target.namespace) as s:
        try:
            ttl = lifetimes.seconds(fields)
            record = s.transact(lambda inside: _touched(inside, target, ttl))
        except REFUSALS as exc:
            return _again(site, s, target, fields, exc)
        site.history.note(target.namespace, target.name, record, site.clock())
    return Redirect(site.links.record(target.namespace, target.name))


def _touched(s: Store[Any], target: Target, ttl: Any) -> Record:
    record = target.check(s)
    return record if ttl is UNSET else s.touch(target.name, ttl)


def _again(site: Site, s: Store[Any], target: Target, fields: Mapping[str, str], error: Exception) -> Page:
    """The form once more, for the record as it is now. It keeps the choice."""
    record = record_or_none(s, target.name)
    if record is None:
        return missing(site, target.namespace, target.name)
    advice = " Choose again to change the record as it is now." if isinstance(error, Conflict) else ""
    body = joined([trouble(f"{problem_of(error)}.{advice} Nothing was written."), touch_form(site, record, fields)])
    return Page(
        f"Lifetime of {record_text(target.name)}",
        body,
        status=status_of(error),
        trail=(
            namespace_step(site, target.namespace),
            record_step(site, target.namespace, target.name),
        ),
    )
