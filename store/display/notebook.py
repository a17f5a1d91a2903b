"""Small tables for notebooks, which `_repr_html_` returns: a title, facts, and rows bounded in number and length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from store.display.html import Child, Html, element, table
from store.display.text import visible
from store.display.units import size_text

ROWS = 20
MOST = 80  # characters of a text
# Notebooks set text between two $ as a formula, which can hold links. MathJax 2 and 3 leave these classes alone:
# https://docs.mathjax.org/en/latest/options/document.html#the-configuration-block (ignoreHtmlClass)
_NO_FORMULAS = "tex2jax_ignore mathjax_ignore"


def card(title: str, facts: Iterable[tuple[str, Child]], *parts: Child) -> Html:
    """A table of facts with a title, and what is below it."""
    return element("div", table((), facts, caption=title), *parts, class_=_NO_FORMULAS)


def rows_of(headings: Sequence[str], rows: Sequence[Sequence[Child]], total: str) -> Html | None:
    """A table of the first rows; None without any. `total` names how many there are, in a line below."""
    if not rows:
        return None
    shown = table(headings, islice(rows, ROWS))
    return element("div", shown, element("p", total))


def short(content: object, most: int = MOST) -> str:
    """A text on one line, cut after `most` characters; anything else as `str` writes it."""
    text = str(content)
    seen = visible(text[: most + 1])
    return seen if len(seen) <= most else f"{seen[: most - 1]}…"


def quoted(name: object) -> str:
    """A name in quotes, so that an empty one and spaces are seen; cut."""
    return f'"{short(name)}"'


def figures(found: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """Facts of the fields of a dataclass of figures; those that end in `bytes` are sizes. None is left out."""
    for name, value in found.items():
        if value is not None:
            yield name.replace("_", " "), _figure(name, value)


def _figure(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return short(", ".join(f"{key}: {number:,}" for key, number in islice(value.items(), ROWS))) or "none"
    if name.endswith("bytes"):
        return size_text(value)
    return f"{value:,}" if isinstance(value, int) else short(value)
