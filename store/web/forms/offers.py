"""The parts of other pages that lead to forms; None where the site only shows."""

from __future__ import annotations

from typing import Any

from store.display.html import Html, element, joined
from store.mapping.store import Store
from store.rows.record import Record
from store.settings.opening import NAMESPACE
from store.web.forms.prefixes import prefix_form
from store.web.forms.touching import touch_form
from store.web.parts.naming import record_text
from store.web.parts.tables import section
from store.web.site import Site


def record_forms(site: Site, s: Store[Any], record: Record | None, name: str = "") -> Html | None:
    """What can be done with a record; `name` is that of one whose metadata is damaged."""
    if not site.writable:
        return None
    namespace, name = s.namespace, name if record is None else record.name
    links = [_link(site, "Delete…", "delete", namespace, name)]
    if record is not None:
        links.insert(0, _link(site, "Set the value…", "set", namespace, name))
        if not _is_own(s, record):
            links.append(_link(site, "Admit…", "admit", namespace, name))
    lifetime = None if record is None or not _is_own(s, record) else touch_form(site, record, {})
    return section("Change this record", element("ul", *links, class_="actions"), lifetime)


def row_forms(site: Site, namespace: str, name: str) -> Html | None:
    """Links from a row of a listing to the forms of its record, so that these are two clicks from the first page."""
    links = [
        element(
            "a",
            text,
            href=site.links.page(path, namespace=namespace, name=name),
            aria_label=f"{text} {record_text(name)}",
        )
        for text, path in (("Set", "set"), ("Delete", "delete"))
    ]
    return joined(links, " ")


def namespace_forms(site: Site, namespace: str) -> Html | None:
    """What can be done with the records of a namespace."""
    if not site.writable:
        return None
    new = element("li", element("a", "New record…", href=site.links.page("set", namespace=namespace)))
    settings = element("li", element("a", "Edit as settings…", href=site.links.page("settings", namespace=namespace)))
    offers_settings = namespace == NAMESPACE or bool(site.schemas)
    return section(
        "Change the records",
        element("ul", new, settings if offers_settings else None, class_="actions"),
        prefix_form(site, namespace),
    )


def _link(site: Site, text: str, path: str, namespace: str, name: str) -> Html:
    return element("li", element("a", text, href=site.links.page(path, namespace=namespace, name=name)))


def _is_own(s: Store[Any], record: Record) -> bool:
    """Whether a record says that a key of ours sealed it. Its seal may not hold, which the form finds out."""
    if record.sealed_by is None:
        return False
    return s.opened.values.sealer.keyring.find(bytes.fromhex(record.sealed_by)) is not None
