"""Rows as tables: lists of dicts, and what other modules take out of arrays and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from store.display.html import Child, Html, element, table, text
from store.web.values.class_names import is_a
from store.web.values.lines import is_bytes, line_of
from store.web.values.scalars import scalar_of

MOST_ROWS = 50
MOST_COLUMNS = 20
MOST_CELL = 60  # characters
_EMPTY: Any = text("")  # by identity: a cell without a value


def rows_table(headings: Sequence[Child], rows: Iterable[Sequence[Any]], left_out: str | None) -> Html:
    """A table of values, each in one line; `left_out` says what is not in it. It scrolls by itself if it is wide."""
    shown = [list(row) for row in rows]
    cells = ([cell(value) for value in row] for row in shown)
    made = table(_above_figures(headings, shown), cells, class_="values")
    note = None if left_out is None else element("p", left_out, class_="more")
    return element("div", element("div", made, class_="scroll", tabindex=0, role="region", aria_label="Table"), note)


def _above_figures(headings: Sequence[Child], rows: Sequence[Sequence[Any]]) -> list[Child]:
    """The headings; the style sheet aligns those of columns of numbers as it does the numbers."""
    kinds = [[scalar_of(value, MOST_CELL) for value in column] for column in zip(*rows, strict=True)]
    has_figures = [all(one is not None and one.kind == "number" for one in column) for column in kinds]
    return [
        element("span", one, class_="figures") if figures else one
        for one, figures in zip(headings, has_figures or [False] * len(headings), strict=True)
    ]


def cell(value: Any) -> Html:
    """A value in one line, in the style of its kind."""
    if value is _EMPTY:
        return text("")
    scalar = scalar_of(value, MOST_CELL)
    return element("code", line_of(value, MOST_CELL), class_=None if scalar is None else scalar.kind)


def heading(name: Any, note: str | None = None) -> Html:
    """The heading of a column: its name, and a note such as its type in small print."""
    shown = str.__getitem__(name, slice(0, MOST_CELL)) if is_a(name, str) else line_of(name, MOST_CELL)
    return element("span", shown, None if note is None else element("small", f" {note}"))


def what_is_left_out(rows: int, columns: int) -> str | None:
    """The note below a table of so many rows and columns; None if all of them are shown."""
    missing = [
        f"{number - most:,} more {noun}"
        for number, most, noun in ((rows, MOST_ROWS, "rows"), (columns, MOST_COLUMNS, "columns"))
        if number > most
    ]
    return " and ".join(missing) + " not shown" if missing else None


def columns_of(value: Any) -> list[str] | None:
    """The columns of a list of dicts that make a table: few columns, which most rows have, and no nested values."""
    if not (type(value) is list or type(value) is tuple) or len(value) < 2:
        return None
    columns: dict[str, int] = {}
    rows = value[:MOST_ROWS]
    for row in rows:
        if type(row) is not dict or not 0 < len(row) <= MOST_COLUMNS or not all(map(_is_flat, row.items())):
            return None
        for name in row:
            columns[name] = columns.get(name, 0) + 1
    is_regular = len(columns) <= MOST_COLUMNS and all(2 * number >= len(rows) for number in columns.values())
    return list(columns) if is_regular else None


def dict_table(value: Sequence[dict[str, Any]], columns: Sequence[str]) -> Html:
    """The rows of a list of dicts, in these columns. A row that lacks one has an empty cell there."""
    rows = ([at, *(row.get(name, _EMPTY) for name in columns)] for at, row in enumerate(value[:MOST_ROWS]))
    return rows_table(["", *map(heading, columns)], rows, what_is_left_out(len(value), len(columns)))


def _is_flat(item: tuple[Any, Any]) -> bool:
    name, content = item
    return type(name) is str and (is_bytes(content) or scalar_of(content, 0) is not None)
