"""Settings as a form that is made of their types: `settings_page` shows it, `submit_settings` saves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.errors import StoreError
from store.mapping.store import Store
from store.settings.opening import NAMESPACE
from store.web.forms.refusals import REFUSALS, problem_of
from store.web.forms.settings.page import Outcome, Typed, page_of_settings
from store.web.forms.settings.saving import Refused, reset, save
from store.web.forms.settings.sent import Sent, name_of, schema_named, sent_in
from store.web.forms.target import target_in
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of

__all__ = ["settings_page", "submit_settings"]

_CONFLICT = "Another writer changed settings that you have changed too, and nothing was saved."
_REFUSED = "Nothing was saved: correct the fields that are marked."


def settings_page(site: Site, query: Mapping[str, str]) -> Page:
    """The form for a namespace, by the class that the query names as `module:Class`, or the first one."""
    default = name_of(site.schemas[0]) if site.schemas else ""
    schema = schema_named(site.schemas, query.get("schema", default))
    with site.within(query.get("namespace", NAMESPACE)) as s:
        return page_of_settings(site, s, schema)


def submit_settings(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Saves the changes that a form has sent, or resets one setting."""
    schema = schema_named(site.schemas, fields.get("schema", ""))
    namespace = target_in(fields, "namespace").namespace
    sent = sent_in(fields)
    number = fields.get("reset")
    changed = [one for one in sent if one.is_changed]
    with site.within(namespace) as s:
        try:
            if number is None:
                save(s, schema, changed)
                changed = []
            else:
                changed = [one for one in changed if str(one.number) != number]
                reset(s, _entry(sent, number))
        except Refused as exc:
            problem, status = (_CONFLICT, 409) if exc.is_conflict else (_REFUSED, 400)
            return _again(site, s, schema, changed, exc, problem, status)
        except REFUSALS as exc:  # the class refuses the values together
            return _again(site, s, schema, changed, _beside(changed, exc), problem_of(exc), status_of(exc))
        if changed:
            return _again(site, s, schema, changed, Refused({}), "The other changes are not saved yet.", 200)
    return Redirect(site.links.page("settings", namespace=namespace, schema=fields.get("schema", "")))


def _entry(sent: list[Sent], number: str) -> Sent:
    if not number.isdecimal() or int(number) >= len(sent):
        raise ValueError("The form has no such setting to reset: open it again")
    return sent[int(number)]


def _beside(changed: list[Sent], error: Exception) -> Refused:
    """The reason beside the field, where it can be about no other one."""
    is_about_one = len(changed) == 1 and not isinstance(error, StoreError)
    return Refused({changed[0].target.name: problem_of(error)} if is_about_one else {})


def _again(
    site: Site, s: Store[Any], schema: type | None, changed: list[Sent], refused: Refused, problem: str, status: int
) -> Page:
    """The form once more. It keeps the texts that were typed, and has the reasons beside the fields."""
    typed = {one.target.name: Typed(one.input, one.text) for one in changed}
    return page_of_settings(site, s, schema, Outcome(status, problem, refused.problems, typed))
