"""Forms that change a store: `submit` does what one asks, `form_page` shows one.

Every form carries the state that it was made of. A write whose record is in another state by then is not made: the
page that answers shows both, and nothing that was typed is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from store.errors import StoreError
from store.web.forms.admitting import admit_page, submit_admit
from store.web.forms.assigning import set_page, submit_set
from store.web.forms.deleting import delete_page, submit_delete
from store.web.forms.offers import namespace_forms, record_forms, row_forms
from store.web.forms.prefixes import prefix_page, submit_prefix
from store.web.forms.refusals import bad_form, read_only
from store.web.forms.settings import settings_page, submit_settings
from store.web.forms.touching import submit_touch
from store.web.site import Page, Redirect, Site

__all__ = ["ACTIONS", "PATHS", "form_page", "namespace_forms", "record_forms", "row_forms", "submit"]

ACTIONS: Mapping[str, Callable[[Site, Mapping[str, str]], Page | Redirect]] = {
    "set": submit_set,
    "touch": submit_touch,
    "delete": submit_delete,
    "delete-prefix": submit_prefix,
    "admit": submit_admit,
    "settings": submit_settings,
}
"""What forms ask for, by the last part of the address that they post to."""


def submit(site: Site, action: str, fields: Mapping[str, str]) -> Page | Redirect:
    """Does what a form asks; the page that comes next, or the one that says why nothing was done.

    Raises:
        StoreError: the store failed, and not the write alone.
    """
    if not site.writable:
        return read_only(site)
    work = ACTIONS.get(action)
    if work is None:
        return bad_form(site, f"There is no action {action[:80]!r}", status=404)
    return _answered(site, lambda: work(site, fields))


def form_page(site: Site, path: str, query: Mapping[str, str]) -> Page:
    """The page of a form. Its status is 403 on a site that only shows, and 404 where there is no such form."""
    if path not in PATHS:
        return bad_form(site, "There is no such form", status=404)
    if not site.writable:
        return read_only(site)
    found = _answered(site, lambda: PATHS[path](site, query))
    assert isinstance(found, Page)
    return found


def _answered(site: Site, work: Callable[[], Page | Redirect]) -> Page | Redirect:
    """What the work gives; a page, where a name or a field is refused. Raises: StoreError."""
    try:
        return work()
    except StoreError:  # many are a ValueError too
        raise
    except ValueError as exc:
        return bad_form(site, str(exc))


def _delete(site: Site, query: Mapping[str, str]) -> Page:
    namespace = query.get("namespace", "")
    if "name" in query:
        return delete_page(site, namespace, query["name"])
    return prefix_page(site, namespace, query.get("prefix", ""))


PATHS: Mapping[str, Callable[[Site, Mapping[str, str]], Page]] = {
    "set": set_page,
    "delete": _delete,
    "admit": lambda site, query: admit_page(site, query.get("namespace", ""), query.get("name", "")),
    "settings": settings_page,
}
"""The pages of forms, by their paths below the first page."""
