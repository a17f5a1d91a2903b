"""What a browser makes of the forms of a page, and sends: see "form submission" in the HTML standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from store.display.html import Html


@dataclass
class Form:
    """A form with the fields that it sends as it is, and its buttons in order, as pairs of name and value."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str | None, str | None]] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def sent(self, **typed: str | None) -> dict[str, str]:
        """The fields after somebody typed something; None: a checkbox is not checked. Line breaks are CR LF."""
        fields: Mapping[str, str | None] = {**self.fields, **typed}
        return {
            name: text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
            for name, text in fields.items() if text is not None
        }  # fmt: skip


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.area: str | None = None
        self.select = ""
        self.option: str | None = None
        self.content = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self.forms.append(Form(given.get("action") or ""))
        elif tag == "input":
            self._input(given, name)
        elif tag == "button":
            self.forms[-1].buttons.append((given.get("name"), given.get("value")))
        elif tag == "textarea":
            self.area, self.content = name, ""
        elif tag == "select":
            self.select = name
        elif tag == "option":
            self.option, self.content = given.get("value") or "", ""
            if "selected" in given or self.select not in self.forms[-1].fields:
                self.forms[-1].fields[self.select] = self.option

    def _input(self, given: dict[str, str | None], name: str) -> None:
        kind = given.get("type") or "text"
        self.forms[-1].types[name] = kind
        if kind not in ("checkbox", "radio") or "checked" in given:
            self.forms[-1].fields[name] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.content += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.area is not None:
            self.forms[-1].fields[self.area] = self.content.removeprefix("\n")
            self.forms[-1].types[self.area] = "textarea"
            self.area = None
        elif tag == "option" and self.option is not None:
            self.forms[-1].options.setdefault(self.select, []).append((self.option, self.content))
            self.option = None


def forms_in(body: Html) -> dict[str, Form]:
    """The forms of a page by the last part of their action."""
    reader = _Reader()
    reader.feed(body)
    return {form.action.rpartition("/")[2]: form for form in reader.forms}
