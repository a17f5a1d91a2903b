"""The page of a settings form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from store.display.html import Child, Html, element, joined, table
from store.mapping.store import Store
from store.web.forms.controls import button, described, form, hidden, labelled, trouble
from store.web.forms.settings.entries import Entry, entries_of, unknown_names
from store.web.forms.settings.sent import name_of
from store.web.forms.target import Target
from store.web.forms.trails import namespace_step
from store.web.links import fits
from store.web.parts.naming import record_link
from store.web.parts.tables import notice, section
from store.web.site import Page, Site


class Typed(NamedTuple):
    """What somebody has typed for an entry, and the input that it was typed into."""

    input: str
    text: str


class Outcome(NamedTuple):
    """What a form that was sent has come to: the texts to show again, and what is wrong with them."""

    status: int
    problem: str
    problems: Mapping[str, str]
    typed: Mapping[str, Typed]


_NOTHING = (
    "No settings are stored here. A program stores them, or `store settings set`. Of a class of settings, "
    "`store web --write --settings module:Class` makes a form."
)
NOTHING_SENT = Outcome(200, "", {}, {})


def page_of_settings(site: Site, s: Store[Any], schema: type | None, outcome: Outcome = NOTHING_SENT) -> Page:
    """The form for the settings in the namespace of `s`. Raises: TypeError, ValueError: the class cannot be kept."""
    entries = entries_of(s, schema)
    title = "Settings" if schema is None else f"Settings of {schema.__name__}"
    parts = [
        _classes(site, s.namespace, schema),
        trouble(outcome.problem) if outcome.problem else None,
        _left_over(entries, outcome),
        _form(site, s, schema, entries, outcome) if entries else notice("note", _NOTHING),
        None if schema is None else _unknown(site, s, schema),
    ]
    trail = (namespace_step(site, s.namespace),)
    return Page(title, joined(parts), status=outcome.status, trail=trail)


def _form(site: Site, s: Store[Any], schema: type | None, entries: list[Entry], outcome: Outcome) -> Html:
    """The entries. The first button is the one that the Enter key presses, so it saves."""
    about = [
        hidden("schema", "" if schema is None else name_of(schema)),
        hidden("namespace", Target(s.namespace, "").spelled()),
    ]
    save = element("p", button("Save the changes", "main"))
    entries = sorted(entries, key=lambda entry: not fits(s.namespace, entry.name))  # fields are numbered without gaps
    rows = [_row(site, s.namespace, number, entry, outcome) for number, entry in enumerate(entries)]
    return form(site, "settings", *about, save, *rows, save, _hint(schema))


def _hint(schema: type | None) -> Html:
    if schema is None:
        text = "The program's class is not known here: values keep their types, and defaults are not shown."
    else:
        text = "Environment variables, where the program reads them, still win over what is stored."
    return notice("note", text)


def _row(site: Site, namespace: str, number: int, entry: Entry, outcome: Outcome) -> Html:
    """One entry: what it is called, its control, its state, and the button that resets it."""
    target = Target(namespace, entry.name).at(entry.record)
    carried = [hidden(f"target.{number}", target.spelled())] if fits(namespace, entry.name) else []
    if entry.input is None:
        name = record_link(site, namespace, entry.name)
        return element("section", *carried, element("strong", name), notice("note", entry.note), class_="setting")
    typed = outcome.typed.get(entry.name)
    is_typed = typed is not None and typed.input == entry.input.name
    text = typed.text if typed is not None and is_typed else entry.text
    problem = _problem(entry, outcome, is_typed)
    id_, hint = f"setting-{number}", _state(entry)
    control = entry.input.control(f"value.{number}", text, described(id_, problem, hint))
    carried += [hidden(f"as.{number}", entry.input.name), hidden(f"was.{number}", entry.text)]
    return element(
        "section",
        *carried,
        labelled(id_, _label(entry), control, problem, hint),
        _reset(number, entry),
        class_="setting",
    )


def _problem(entry: Entry, outcome: Outcome, is_typed: bool) -> str | None:
    found = outcome.problems.get(entry.name) or entry.note
    if found and is_typed:
        return f"{found.rstrip('.')}. The value is {entry.value} now."
    return found


def _label(entry: Entry) -> Child:
    kind = "" if entry.kind is None else entry.kind.name
    return joined([entry.name, " ", element("small", kind if len(kind) <= 80 else f"{kind[:77]}...")])


def _state(entry: Entry) -> str:
    if entry.default is None:
        return "stored"
    return f"stored; the default is {entry.default}" if entry.record is not None else "the default"


def _reset(number: int, entry: Entry) -> Html | None:
    if entry.record is None:
        return None
    text = "Delete" if entry.default is None else "Reset to the default"
    return element("p", button(text, name="reset", value=str(number)))


def _classes(site: Site, namespace: str, schema: type | None) -> Html | None:
    """The way to the forms of the other classes."""
    if not site.schemas:
        return None
    ways = [(name_of(one), one.__name__, one is schema) for one in site.schemas] + [
        ("", "what is stored", schema is None)
    ]
    items = [
        element(
            "li",
            element(
                "a", text, href=site.links.page("settings", namespace=namespace, schema=name),
                aria_current="page" if chosen else None,
            ),
        )
        for name, text, chosen in ways
    ]  # fmt: skip
    return element("nav", element("ul", *items, class_="actions"), aria_label="Classes of settings")


def _left_over(entries: list[Entry], outcome: Outcome) -> Html | None:
    """Texts typed for settings that are gone, or have a value of another shape: to be copied."""
    inputs = {entry.name: entry.input.name for entry in entries if entry.input is not None}
    lost = {name: typed.text for name, typed in outcome.typed.items() if inputs.get(name) != typed.input}
    if not lost:
        return None
    rows = [(element("code", name), element("pre", text), outcome.problems.get(name)) for name, text in lost.items()]
    return table(("setting", "the text that you typed", "why it is not below"), rows, caption="Not below any more")


def _unknown(site: Site, s: Store[Any], schema: type) -> Html | None:
    names = unknown_names(s, schema)
    if not names:
        return None
    items = [element("li", record_link(site, s.namespace, name)) for name in names]
    return section("Stored, and no fields of the class", element("ul", *items))
