"""Setting the value of a record: the form, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from store.codecs import codecs
from store.display.html import Html, element, joined
from store.errors import Conflict, NotSerializable
from store.mapping.store import Store
from store.opened.sentinels import MISSING, UNSET
from store.rows.record import Record
from store.web.forms import lifetimes
from store.web.forms.controls import about, button, described, form, labelled, select, text_area, trouble
from store.web.forms.refusals import REFUSALS, problem_of
from store.web.forms.spelling import FORMS, read, spelled
from store.web.forms.target import Target, record_or_none, target_in
from store.web.forms.trails import namespace_step
from store.web.look import Budget, look
from store.web.parts.naming import record_text
from store.web.parts.tables import notice, section
from store.web.site import Page, Redirect, Site
from store.web.statuses import status_of
from store.web.values import whole

EDITABLE_BYTES = 256 * 1024  # of a record; a page with a longer text is slow to edit
MOST_CODEC = 200  # characters; in a crafted file it may have any length
NEW = "new"
NO_PROBLEMS: Mapping[str, str] = {}
T = TypeVar("T")
NAMESPACE = "namespace"
_CODEC = "the default of the store"


class Misread(Exception):
    """A field of the form is refused. `error` says why."""

    def __init__(self, field: str, error: Exception) -> None:
        super().__init__(field)
        self.field = field
        self.error = error


def set_page(site: Site, query: Mapping[str, str]) -> Page:
    """The form for the value of a record; without a name in the query, for a new record."""
    namespace, name = query.get("namespace", ""), query.get("name")
    if name is None:
        return _page(site, Target(namespace, ""), {NEW: ""}, None)
    with site.within(namespace) as s:
        record = record_or_none(s, name)
        given, note = ({}, None) if record is None else _editable(s, record)
        return _page(site, Target(namespace, name).at(record), given, record, note=note)


def submit_set(site: Site, fields: Mapping[str, str]) -> Page | Redirect:
    """Stores the typed value, if the record is still in the state that was shown."""
    target = target_in(fields)
    if NEW in fields:
        target = Target(fields.get(NAMESPACE, target.namespace), fields[NEW])
    with site.within(target.namespace) as s:
        try:
            record = _put(s, target, fields)
        except Conflict:
            return _conflict(site, s, target, fields)
        except Misread as exc:
            now = record_or_none(s, target.name)
            return _page(site, target, fields, now, {exc.field: problem_of(exc.error)}, 400)
        except REFUSALS as exc:
            now = record_or_none(s, target.name)
            return _page(site, target, fields, now, {"": problem_of(exc)}, status_of(exc))
        site.history.note(target.namespace, target.name, record, site.clock())
    return Redirect(site.links.record(target.namespace, target.name))


def _put(s: Store[Any], target: Target, fields: Mapping[str, str]) -> Record:
    """Raises: Misread: a field is refused. Conflict; ValueError, TypeError: the name is. StoreError."""
    value = _read("value", lambda: read(fields.get("as", FORMS[0][0]), fields.get("value", "")))
    ttl = _read("ttl", lambda: lifetimes.seconds(fields))
    record = record_or_none(s, target.name)
    if ttl is UNSET:
        ttl = lifetimes.kept(s, record)
    codec = fields.get("codec") or None
    protocol = record.protocol if record is not None and record.codec == codec else None
    try:
        return s.put(target.name, value, ttl=ttl, codec=codec, protocol=protocol, if_version=target.expected)
    except NotSerializable as exc:
        raise Misread("value", exc) from exc


def _read(field: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except ValueError as exc:
        raise Misread(field, exc) from exc


def _conflict(site: Site, s: Store[Any], target: Target, fields: Mapping[str, str]) -> Page:
    """Both values: the one that is stored now, and the one that was typed, which can still be set."""
    now = record_or_none(s, target.name)
    typed = {name: content for name, content in fields.items() if name != NEW}
    if now is None:
        found = element("p", "There is no such record any more: it was deleted, or has expired.")
    else:
        seen = look(s, now, Budget(EDITABLE_BYTES))
        found = notice("error", seen.problem) if seen.value is MISSING else whole(seen.value)
    stored = section("What is stored now", found)
    if NEW in fields:
        problem = "There is a record of this name already, and nothing was written."
    else:
        problem = "Another writer changed this record after the form was opened, and nothing was written."
    advice = "Setting the value below replaces what is stored now."
    page = _page(site, target.at(now), typed, now, {"": f"{problem} {advice}"}, 409)
    return Page(page.title, joined([stored, page.body]), status=409, trail=page.trail)


def _page(
    site: Site,
    target: Target,
    given: Mapping[str, str],
    record: Record | None,
    problems: Mapping[str, str] = NO_PROBLEMS,
    status: int = 200,
    *,
    note: str | None = None,
) -> Page:
    """The form with its content; `problems` are beside their fields, and that of "" above all of them."""
    title = "New record" if NEW in given else f"Set {record_text(target.name)}"
    parts = [
        trouble(problems[""]) if "" in problems else None,
        None if note is None else notice("note", note),
        form(
            site,
            "set",
            about(target),
            _namespace_field(target, given),
            _name_field(given),
            _value_field(given, problems.get("value")),
            lifetimes.controls(record, site.clock(), given, problems.get("ttl")),
            _codec_field(given, record),
            element("p", button("Set the value", "main"), " ", _way_back(site, target)),
        ),
    ]
    return Page(title, joined(parts), status=status, trail=(namespace_step(site, target.namespace),))


def _editable(s: Store[Any], record: Record) -> tuple[dict[str, str], str | None]:
    """The content of the form for the value that is stored; and why it is empty, if so."""
    seen = look(s, record, Budget(EDITABLE_BYTES))
    text = None if seen.value is MISSING else spelled(seen.value)
    if text is not None:
        return {"as": text[0], "value": text[1]}, None
    why = seen.problem or "It is an object that no text can spell"
    return {}, f"The value that is stored cannot be edited here: {why.rstrip('.')}. What you set replaces it."


def _namespace_field(target: Target, given: Mapping[str, str]) -> Html | None:
    """The namespace of a new record. One that an input of one line would change is not asked for, and stays."""
    if NEW not in given or not target.namespace.isprintable():
        return None
    hint = "It is made with its first record; empty is the unnamed one."
    attributes = described("set-namespace", hint=hint)
    control = element("input", name=NAMESPACE, value=given.get(NAMESPACE, target.namespace), **attributes)
    return labelled("set-namespace", "Namespace", control, hint=hint)


def _name_field(given: Mapping[str, str]) -> Html | None:
    if NEW not in given:
        return None
    control = element("input", name=NEW, value=given[NEW], required=True, **described("set-name"))
    return labelled("set-name", "Name", control)


def _value_field(given: Mapping[str, str], problem: str | None) -> Html:
    """The value, as text and the form that the text has."""
    content = given.get("value", "")
    rows = min(24, max(4, content.count("\n") + 2))
    area = text_area("value", content, rows, **described("set-value", problem))
    kind = select("as", FORMS, given.get("as", FORMS[0][0]), **described("set-as"))
    return joined([labelled("set-value", "Value", area, problem), labelled("set-as", "The text is", kind)])


def _codec_field(given: Mapping[str, str], record: Record | None) -> Html:
    own = "" if record is None or len(record.codec) > MOST_CODEC else record.codec  # else it is no codec's name
    others = [name for name in codecs.names() if name != own]
    options = [(own, f"{own}, as it is" if own else _CODEC), *((name, name) for name in others)]
    return labelled("set-codec", "Codec", select("codec", options, given.get("codec", own), **described("set-codec")))


def _way_back(site: Site, target: Target) -> Html:
    if target.version is None:
        return element("a", "Cancel", href=site.links.namespace(target.namespace))
    return element("a", "Cancel", href=site.links.record(target.namespace, target.name))
