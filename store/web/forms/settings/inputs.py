"""Inputs: how the value of a setting is edited. Each has a text for plain data as JSON knows it, and reads it back.

An input is chosen by the kind of a field and by the value that is stored. Its name goes through the form, so the text
keeps its meaning even if another writer has stored a value of another shape meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Flag
from typing import Any, Protocol

from store.codecs.plain import same
from store.display.html import Html, element
from store.web.forms.controls import select, text_area
from store.web.forms.spelling import is_editable, lines

EXACT_INT = 2**53  # browsers hold the numbers of number fields as floats
MOST_ROWS = 16

Attributes = Mapping[str, str | None]


class Input(Protocol):
    """A control, and the texts that it sends."""

    name: str

    def holds(self, plain: Any) -> bool:
        """Whether it gives these plain data back as they are."""

    def text(self, plain: Any) -> str:
        """The text that the control has for plain data."""

    def plain(self, text: str) -> Any:
        """The plain data of a text. Raises: ValueError: it says none; what to type instead."""

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        """The element that sends the text under a name."""


class Checkbox:
    """True or False; a browser sends nothing for False."""

    name = "checkbox"

    def holds(self, plain: Any) -> bool:
        return isinstance(plain, bool)

    def text(self, plain: Any) -> str:
        return "on" if plain else ""

    def plain(self, text: str) -> Any:
        return bool(text)

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        return element("input", type="checkbox", name=name, value="on", checked=bool(text), **attributes)


class Number:
    """A number; `whole`: without a fraction."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.name = "whole" if whole else "number"

    def holds(self, plain: Any) -> bool:
        if isinstance(plain, bool) or not isinstance(plain, int | float):
            return False
        return abs(plain) < EXACT_INT if isinstance(plain, int) else not self.whole and abs(plain) < float("inf")

    def text(self, plain: Any) -> str:
        return repr(plain)

    def plain(self, text: str) -> Any:
        try:
            return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
        except ValueError:
            raise ValueError("Type a whole number." if self.whole else "Type a number.") from None

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        step = "1" if self.whole else "any"
        return element("input", type="number", step=step, required=True, name=name, value=text, **attributes)


class Text:
    """A text; one of several lines has a larger control."""

    name = "text"

    def holds(self, plain: Any) -> bool:
        return isinstance(plain, str) and is_editable(plain)

    def text(self, plain: Any) -> str:
        return str(plain)

    def plain(self, text: str) -> Any:
        return lines(text)

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        if "\n" in text or len(text) > 80:
            return text_area(name, text, _rows(text), **attributes)
        return element("input", name=name, value=text, spellcheck="false", **attributes)


class Json:
    """Any plain data."""

    name = "json"

    def holds(self, plain: Any) -> bool:
        return True

    def text(self, plain: Any) -> str:
        return json.dumps(plain, ensure_ascii=False, indent=2)

    def plain(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"It is not JSON: {exc}; a text needs double quotes around it") from None

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        return text_area(name, text, _rows(text), **attributes)


class Options:
    """One of several values, each with its text."""

    name = "options"

    def __init__(self, options: Sequence[tuple[str, Any]]) -> None:
        self._options = options

    def with_none(self) -> Options:
        """The same, and None."""
        return Options([("None", None), *self._options])

    def holds(self, plain: Any) -> bool:
        return any(same(one, plain) for _, one in self._options)

    def text(self, plain: Any) -> str:
        return next(str(n) for n, (_, one) in enumerate(self._options) if same(one, plain))

    def plain(self, text: str) -> Any:
        if not text.isdecimal() or int(text) >= len(self._options):
            raise ValueError(f"Choose one of {', '.join(shown for shown, _ in self._options)}")
        return self._options[int(text)][1]

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        options = [(str(n), shown) for n, (shown, _) in enumerate(self._options)]
        return select(name, options, text, **attributes)


class Flags:
    """Members of a Flag, by their names with `|` between them."""

    name = "flags"

    def __init__(self, cls: type[Flag]) -> None:
        self._cls = cls

    def holds(self, plain: Any) -> bool:
        if not isinstance(plain, int) or isinstance(plain, bool) or plain < 0:
            return False
        try:
            return bool(self.plain(self.text(plain)) == plain)  # an IntFlag may have bits without a name
        except ValueError:
            return False

    def text(self, plain: Any) -> str:
        names = [one.name or "" for one in self._cls(plain)]
        return "|".join(names) or "0"

    def plain(self, text: str) -> Any:
        words = [word.strip() for word in text.split("|")]
        unknown = [word for word in words if word not in (*self._cls.__members__, "0", "")]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not one of {', '.join(self._cls.__members__)} (several with | between)"
            )
        found = self._cls(0)
        for word in words:
            found |= self._cls.__members__.get(word, self._cls(0))
        return found.value

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        return element("input", name=name, value=text, spellcheck="false", **attributes)


class OrNone:
    """Another input, whose empty text is None."""

    def __init__(self, inner: Input) -> None:
        self._inner = inner
        self.name = f"{inner.name}-or-none"

    def holds(self, plain: Any) -> bool:
        return plain is None or (plain != "" and self._inner.holds(plain))

    def text(self, plain: Any) -> str:
        return "" if plain is None else self._inner.text(plain)

    def plain(self, text: str) -> Any:
        return None if text.strip() == "" else self._inner.plain(text)

    def control(self, name: str, text: str, attributes: Attributes) -> Html:
        return Text().control(name, text, {**attributes, "placeholder": "None"})


def _rows(text: str) -> int:
    return min(MOST_ROWS, max(2, text.count("\n") + 1))
