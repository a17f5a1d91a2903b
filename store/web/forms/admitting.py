"""Admitting a record of somebody else, after a page that shows what decoding it in full would load.

The form carries a digest of the whole row. The version of a foreign record is no proof of its bytes: people who can
write the file can change these and keep the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from store.care.inspect import Inspection
from store.display.html import Child, Html, element, joined
from store.display.text import cut
from store.display.units import size_text
from store.errors import Conflict
from store.mapping.store import Store
from store.web.forms.controls import about, button, form, trouble
from store.web.forms.refusals import REFUSALS, missing, problem_of
from store.web.forms.target import Target, target_in
from store.web.forms.trails import namespace_step, record_step
from store.web.parts.content import MOST_TEXT, globals_list
from store.web.parts.naming import record_text
from store.web.parts.tables import facts, notice, number, section, size
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of
from store.web.values import badge

MOST_GLOBALS = 200
MOST_BYTES = 1024 * 1024  # of a record: describing more takes many seconds, and a hundred times the memory


def admit_page(site: Site, namespace: str, name: str) -> Page:
    """What is known of a foreign record without decoding it, and the question whether to admit it."""
    with site.within(namespace) as s:
        return _question(site, s, Target(namespace, name))


def submit_admit(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Seals exactly the bytes that were shown with a key of ours."""
    target = target_in(fields)
    with site.within(target.namespace) as s:
        try:
            record = s.admit(_same(s, target))
        except KeyError:
            return missing(site, target.namespace, target.name)
        except REFUSALS as exc:
            return _question(site, s, target, exc)
    site.history.note(target.namespace, target.name, record, site.clock())
    return Redirect(site.links.record(target.namespace, target.name))


def digest_of(seen: Inspection) -> str:
    """A digest of all columns of a row; those of its files are in the list that is one of them."""
    row = seen.row
    state = hashlib.sha256(repr(row._replace(body=b"")).encode("utf-8", "backslashreplace"))
    state.update(row.body)
    return state.hexdigest()


def _same(s: Store[Any], target: Target) -> Inspection:
    """The inspection of the bytes that were shown. Raises: Conflict: others are there. KeyError."""
    seen = _inspected(s, target.name)
    if digest_of(seen) != target.version:
        raise Conflict("the record is not the one that was shown: read the new inspection, and decide again")
    return seen


def _inspected(s: Store[Any], name: str) -> Inspection:
    """Raises: ValueError: it is too large for a page. KeyError."""
    size = s.record(name).size
    if size > MOST_BYTES:
        raise ValueError(
            f"it has {size_text(size)}, and pages admit up to {size_text(MOST_BYTES)}: `store admit` takes any record"
        )
    return s.inspect(name)


def _question(site: Site, s: Store[Any], target: Target, error: Exception | None = None) -> Page:
    problem = None if error is None else trouble(f"{problem_of(error)}. Nothing was admitted.")
    status = 200 if error is None else status_of(error)
    title = f"Admit {record_text(target.name)}?"
    trail = (
        namespace_step(site, target.namespace),
        record_step(site, target.namespace, target.name),
    )
    try:
        seen = _inspected(s, target.name)
    except KeyError:
        return missing(site, target.namespace, target.name)
    except REFUSALS as exc:
        return Page(title, trouble(problem_of(exc)), status=status_of(exc), trail=trail)
    body = joined([problem, *_described(seen), _ask(site, target, seen)])
    return Page(title, body, status=status, trail=trail)


def _described(seen: Inspection) -> list[Html | None]:
    record = seen.record
    rows: list[tuple[str, Child]] = [
        ("Verdict", badge(seen.verdict)),
        ("Sealed by", element("code", record.sealed_by) if record.sealed_by else "no key"),
        ("Type", element("code", cut(record.type or "?"))),
        ("Codec", element("code", f"{cut(record.codec)} {record.protocol}")),
        ("Size", size(record.size)),
        ("Revision", number(record.revision)),
    ]
    return [
        section("Record", facts(rows)),
        section(
            "Classes and functions that decoding it in full would load",
            _globals(seen.globals),
            None if seen.problem is None else notice("warning", seen.problem),
        ),
        section("Its bytes", element("pre", _cut(seen.disassembly), tabindex=0)),
    ]


def _globals(names: tuple[str, ...]) -> Html:
    if not names:
        return element("p", "None: it is plain data.")
    return globals_list(names, MOST_GLOBALS)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n… cut after {MOST_TEXT:,} characters"


def _ask(site: Site, target: Target, seen: Inspection) -> Html:
    """The form, where admitting makes sense."""
    if seen.verdict == "own":
        return notice("note", "A key of yours sealed it already: there is nothing to admit.")
    if seen.verdict != "foreign":
        return notice("error", "Damaged and altered bytes are never sealed: restore the record, or delete it.")
    warning = notice(
        "warning",
        "From then on the record is decoded in full, which runs the code that it names. Its bytes stay as they are.",
    )
    cancel = element("a", "Cancel", href=site.links.record(target.namespace, target.name))
    asked = about(target._replace(version=digest_of(seen)))
    return form(site, "admit", asked, warning, element("p", button("Admit these bytes", "danger"), " ", cancel))
