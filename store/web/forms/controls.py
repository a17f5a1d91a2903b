"""The elements of forms: labelled controls with their problems beside them, hidden fields, and buttons."""

from __future__ import annotations

from collections.abc import Iterable

from store.display.html import Child, Html, element, joined
from store.web.forms.target import FIELD, Target
from store.web.parts.prose import prose
from store.web.site import Site


def form(site: Site, action: str, *children: Child) -> Html:
    """A form that posts to an action."""
    return element(
        "form", *children, method="post", action=site.links.page(f"do/{action}"), autocomplete="off", class_="write"
    )


def hidden(name: str, value: str) -> Html:
    """A field that carries a printable text through the form."""
    return element("input", type="hidden", name=name, value=value)


def about(target: Target) -> Html:
    """The field that says which record a form is about."""
    return hidden(FIELD, target.spelled())


def labelled(id_: str, label: Child, control: Html, problem: str | None = None, hint: str | None = None) -> Html:
    """A control with its label, and what is wrong with its content. Its attributes are those of `described`."""
    return element(
        "div",
        element("label", label, for_=id_),
        control,
        None if hint is None else element("small", hint, id=f"{id_}-hint", class_="muted"),
        None if problem is None else trouble(problem, id=f"{id_}-problem"),
        class_="field" if problem is None else "field field-refused",
    )


def described(id_: str, problem: str | None = None, hint: str | None = None) -> dict[str, str | None]:
    """The attributes that tie a control to its label, hint and problem. With a problem it takes the focus."""
    about = [f"{id_}-{part}" for part, given in (("hint", hint), ("problem", problem)) if given is not None]
    return {
        "id": id_,
        "aria_describedby": " ".join(about) or None,
        "aria_invalid": None if problem is None else "true",
        "autofocus": None if problem is None else "",
    }


def trouble(problem: str, id: str | None = None) -> Html:
    """What is wrong, which a screen reader reads out at once."""
    return element("p", prose(problem), role="alert", class_="notice error", id=id)


def text_area(name: str, content: str, rows: int = 6, **attributes: str | None) -> Html:
    """A text of several lines. Parsers of HTML drop a line break at its beginning, so there is one to be dropped."""
    return element("textarea", joined(["\n", content]), name=name, rows=rows, spellcheck="false", **attributes)


def select(name: str, options: Iterable[tuple[str, str]], chosen: str, **attributes: str | None) -> Html:
    """A choice of values, each with its text."""
    return element(
        "select",
        *(element("option", text, value=value, selected=value == chosen) for value, text in options),
        name=name,
        **attributes,
    )


def button(text: str, kind: str = "", *, name: str | None = None, value: str | None = None) -> Html:
    """The button that sends a form. `kind`: "main", "danger", or none."""
    return element(
        "button", text, type="submit", name=name, value=value, class_=kind or None,
        formnovalidate=name is not None,
    )  # fmt: skip
