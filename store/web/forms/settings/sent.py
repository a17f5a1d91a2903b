"""What a settings form has sent: for each entry the text that was shown, the one that came back, and the version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from store.web.forms.settings.entries import MOST_ENTRIES
from store.web.forms.spelling import lines
from store.web.forms.target import Target, target_in


class Sent(NamedTuple):
    """One entry of a form that was sent."""

    number: int
    target: Target
    input: str
    was: str
    text: str

    @property
    def is_changed(self) -> bool:
        """Whether its text is another one than the form was shown with: all others are not written."""
        return lines(self.was) != lines(self.text)


def sent_in(fields: Mapping[str, str]) -> list[Sent]:
    """The entries that a form has sent. Raises: ValueError: it is not such a form."""
    found: list[Sent] = []
    while (key := f"target.{len(found)}") in fields and len(found) < MOST_ENTRIES:
        n = len(found)
        target = target_in(fields, key)
        found.append(
            Sent(n, target, fields.get(f"as.{n}", ""), fields.get(f"was.{n}", ""), fields.get(f"value.{n}", ""))
        )
    return found


def schema_named(schemas: tuple[type, ...], name: str) -> type | None:
    """The class of that name; None for no name. Raises: ValueError: there is none."""
    if not name:
        return None
    for schema in schemas:
        if name_of(schema) == name:
            return schema
    known = ", ".join(map(name_of, schemas)) or "none"
    raise ValueError(f"No class of settings is called {name[:80]!r}; those that these pages have: {known}")


def name_of(schema: Any) -> str:
    """What a form calls a class: `module:Class`."""
    return f"{schema.__module__}:{schema.__qualname__}"
