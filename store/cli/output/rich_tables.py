"""Tables as rich draws them: colours and a heading that stands out. Imported only where rich is installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from store.cli.output.terminal import fits

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from store.cli.output.tables import Column, Draw, Row

# A line under the heading, and two blanks between columns: what plain text has too.
_LINES = "    \n    \n ── \n    \n    \n    \n    \n    \n"
_BOX = Box(_LINES)
_ASCII_BOX = Box(_LINES.replace("─", "-"), ascii=True)


def drawing(color: bool) -> Draw:
    """What draws a page of a table on stdout; without colour it writes no escape sequence at all."""

    def draw(columns: Sequence[Column], widths: Sequence[int], rows: Sequence[Row], heading: bool) -> None:
        table = _table(columns, widths, heading)
        for cells in rows:
            table.add_row(*map(Text, cells))  # a Text, because in a str rich would look for markup
        _console(color, widths).print(table)

    return draw


def _console(color: bool, widths: Sequence[int]) -> Console:
    """Wide enough for the table: what to cut is decided already, in the same way as for plain text."""
    return Console(
        file=sys.stdout,
        color_system="standard" if color else None,
        no_color=not color,
        width=sum(widths) + 3 * len(widths),
        height=25,  # without one, rich takes a dumb terminal to be 80 wide
        legacy_windows=False,
    )


def _table(columns: Sequence[Column], widths: Sequence[int], heading: bool) -> Table:
    table = Table(
        box=_BOX if fits("─") else _ASCII_BOX,
        show_header=heading,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column, width in zip(columns, widths, strict=True):
        side: JustifyMethod = "right" if column.right else "left"
        table.add_column(Text(column.heading), width=width, justify=side, style=column.style, no_wrap=True)
    return table
