"""Tables: all that the commands show in columns, page by page, so that one of any length takes little memory.

Drawn by rich where that is installed and somebody looks; else, and in a pipe, as plain text with the same columns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import click

from store.cli.output import terminal

PAGE = 500  # rows that are laid out together: widths may grow from page to page, never shrink
MOST_PADDED = 200  # places: one long cell must not make a thousand lines as long
LEAST_WIDTH = 12  # no column is cut below this; a line that is still too long is the terminal's to wrap
GAP = 2

Row = Sequence[str]
Draw = Callable[[Sequence["Column"], Sequence[int], Sequence[Row], bool], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, which side its cells keep to, whether they may be cut, and how rich shows them."""

    heading: str
    right: bool = False
    cut: bool = False
    style: str = ""


def print_table(
    columns: Sequence[Column], rows: Iterable[Row], *, color: bool | None = None, heading: bool = True
) -> int:
    """Prints rows under a heading, nothing where there are none; returns how many there were.

    What is in the cells is shown, never obeyed: neither control characters nor the markup of rich. On a terminal
    that is too narrow, long cells are cut with "…".
    """
    draw = _drawing(color)
    width = terminal.width()
    widths = [text_width(column.heading) if heading else 0 for column in columns]
    count, rest = 0, iter(rows)
    while page := list(islice(rest, PAGE)):
        cells = [[terminal.shown(cell) for cell in row] for row in page]
        by_column = zip(*cells, strict=True)
        widths = [
            max(before, *(min(MOST_PADDED, text_width(cell)) for cell in column))
            for before, column in zip(widths, by_column, strict=True)
        ]
        fitting = _fitted(columns, widths, width)
        if width is not None:
            cells = [[_cut(cell, wide) for cell, wide in zip(row, fitting, strict=True)] for row in cells]
        draw(columns, fitting, cells, heading and count == 0)
        count += len(page)
    return count


def text_width(text: str) -> int:
    """The places that a printable text takes on a terminal: characters of East Asia take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitted(columns: Sequence[Column], widths: Sequence[int], available: int | None) -> list[int]:
    """The widths, with the widest of the columns that may be cut made narrower until the line fits."""
    fitting = list(widths)
    if available is None:
        return fitting
    excess = sum(widths) + GAP * (len(widths) - 1) - available
    while excess > 0:
        wide = [number for number, column in enumerate(columns) if column.cut and fitting[number] > LEAST_WIDTH]
        if not wide:
            break
        widest = max(wide, key=lambda number: fitting[number])
        rivals = [fitting[number] for number in wide if number != widest]
        less = min(excess, fitting[widest] - max([LEAST_WIDTH, *(one for one in rivals if one < fitting[widest])]))
        fitting[widest] -= max(1, less)
        excess -= max(1, less)
    return fitting


def _cut(text: str, width: int) -> str:
    if text_width(text) <= width:
        return text
    mark = "…" if terminal.fits("…") else "..."
    left, kept = width - len(mark), []
    for char in text:
        left -= _char_width(char)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept) + mark


def _drawing(color: bool | None) -> Draw:
    """How to draw: with rich if it is there, and somebody looks or colours were asked for."""
    if not (terminal.is_terminal() or color):
        return _draw_plain
    try:
        from store.cli.output.rich_tables import drawing
    except ModuleNotFoundError:
        if color:
            click.echo("store: colours need rich, which is not installed: pip install rich", err=True)
        return _draw_plain
    return drawing(terminal.wants_color(color))


def _draw_plain(columns: Sequence[Column], widths: Sequence[int], rows: Sequence[Row], heading: bool) -> None:
    lines = [[column.heading for column in columns], *rows] if heading else rows
    click.echo("\n".join(_line(columns, widths, cells) for cells in lines))


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Row) -> str:
    padded = []
    for column, width, cell in zip(columns, widths, cells, strict=True):
        blanks = " " * (width - text_width(cell))
        padded.append(blanks + cell if column.right else cell + blanks)
    return (" " * GAP).join(padded).rstrip()
