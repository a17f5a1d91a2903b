"""Tables, printed page by page, so that a table of any length takes little memory.

On a terminal they have colours and a line under the heading; in a pipe they are plain text with the same columns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import click

from store.cli.output import terminal

PAGE = 500  # rows that are laid out together; widths may grow from page to page, never shrink
MOST_PADDED = 200  # columns: one long cell must not make a thousand lines as long
LEAST_WIDTH = 12  # no column is cut below this; a line that is still too long is the terminal's to wrap
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, whether cells are aligned right, whether they may be cut, and their style: a colour, or "bold"."""

    heading: str
    right: bool = False
    cut: bool = False
    style: str = ""


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], *, color: bool | None = None, heading: bool = True
) -> int:
    """Prints rows under a heading, or nothing where there are none; returns the number of rows.

    Control characters have no effect in a cell. On a terminal that is too narrow, long cells are cut with "…".
    """
    is_drawn, is_colored = terminal.is_terminal() or bool(color), terminal.wants_color(color)
    width = terminal.width()
    widths = [text_width(column.heading) if heading else 0 for column in columns]
    count, rest = 0, iter(rows)
    while page := list(islice(rest, PAGE)):
        cells = [[terminal.shown(cell) for cell in row] for row in page]
        widths = [
            max(before, *(min(MOST_PADDED, text_width(cell)) for cell in column))
            for before, column in zip(widths, zip(*cells, strict=True), strict=True)
        ]
        fitting = _fitted(columns, widths, width)
        if width is not None:
            cells = [[_cut(cell, wide) for cell, wide in zip(row, fitting, strict=True)] for row in cells]
        styles = [column.style if is_colored else "" for column in columns]
        lines = [_line(columns, fitting, row, styles) for row in cells]
        if heading and count == 0:
            bold = ["bold" if is_colored else ""] * len(columns)
            rule = ("─" if terminal.fits("─") else "-") * len(GAP.join(" " * wide for wide in fitting))
            lines[:0] = [_line(columns, fitting, [column.heading for column in columns], bold), *[rule] * is_drawn]
        click.echo("\n".join(lines), color=is_colored)
        count += len(page)
    return count


def text_width(text: str) -> int:
    """The columns that a printable text takes on a terminal: characters of East Asia take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitted(columns: Sequence[Column], widths: Sequence[int], available: int | None) -> list[int]:
    """The widths, with the widest columns that may be cut made narrower until the line fits."""
    fitting = list(widths)
    while available is not None and sum(fitting) + len(GAP) * (len(fitting) - 1) > available:
        wide = [number for number, column in enumerate(columns) if column.cut and fitting[number] > LEAST_WIDTH]
        if not wide:
            break
        fitting[max(wide, key=lambda number: fitting[number])] -= 1
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


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str], styles: Sequence[str]) -> str:
    padded = []
    for column, width, cell, style in zip(columns, widths, cells, styles, strict=True):
        blanks = " " * (width - text_width(cell))
        text = _styled(cell, style)
        padded.append(blanks + text if column.right else text + blanks)
    return GAP.join(padded).rstrip()


def _styled(text: str, style: str) -> str:
    if not style:
        return text
    return click.style(text, bold=True) if style == "bold" else click.style(text, fg=style)
