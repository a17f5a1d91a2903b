"""A sample drawn by rich. Every text that a store may hold goes through `Text`, which reads no markup."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from store.cli.output.terminal import fits, shown, wants_color
from store.cli.top.facts import Fact, activity_facts, record_lists, storage_facts
from store.cli.top.sample import Sample
from store.display.units import moment_text

FACT_WIDTH = 26  # columns of a label, its text and the gap
LABEL_WIDTH = 13
LIST_WIDTH = 38  # columns that a list of records needs beside another one
LINES_AROUND = 3  # the title, and the space below it and at the end
LEAST_ROWS = 1


def console(color: bool | None) -> Console:
    """A console on stdout. Off a terminal it is as wide as COLUMNS says, or 80."""
    forced = True if color else None
    return Console(file=sys.stdout, no_color=not wants_color(color), force_terminal=forced, highlight=False)


def frame(location: str, sample: Sample, width: int, height: int | None, hint: str = "") -> RenderableType:
    """The sample in so many columns and lines; with no `height` all of its lists."""
    facts = [_facts(activity_facts(sample), width), _facts(storage_facts(sample), width)]
    lists = [(heading, rows) for heading, rows in record_lists(sample) if rows]
    beside = max(1, min(len(lists), width // LIST_WIDTH))
    if height is None and beside < len(lists):
        beside = 1  # there is room for all of their lines, and names are cut less
    rows = _room(height, sum(table.row_count for table in facts), ceil(len(lists) / beside))
    tables = [_list(heading, found[:rows]) for heading, found in lists]
    parts: list[RenderableType] = [_title(location, sample, hint, width), *facts]
    for start in range(0, len(tables), beside):
        parts += ["", _beside(tables[start : start + beside], beside)]
    return Group(*parts)


def _title(location: str, sample: Sample, hint: str, width: int) -> Text:
    time = moment_text(datetime.fromtimestamp(sample.now, UTC))
    title = Text(no_wrap=True, overflow=_overflow())
    end = f"  {time}  {hint}".rstrip()
    place = shown(location)
    room = max(8, width - len(end))
    title.append(place if len(place) <= room else place[-room:], style="bold")  # the end tells more than the start
    title.append(end, style="dim")
    return title


def _facts(facts: Sequence[Fact], width: int) -> Table:
    """Labels and texts in as many columns as there is room for."""
    columns = max(1, min(len(facts), width // FACT_WIDTH))
    grid = Table.grid(padding=(0, 1), expand=False)
    for _ in range(columns):
        grid.add_column(style="cyan", no_wrap=True, width=LABEL_WIDTH)
        grid.add_column(no_wrap=True, overflow=_overflow(), min_width=FACT_WIDTH - LABEL_WIDTH - 3)
    for start in range(0, len(facts), columns):
        row = [Text(text) for fact in facts[start : start + columns] for text in fact]
        grid.add_row(*row)
    return grid


def _list(heading: str, rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(justify="right", no_wrap=True, min_width=9)
    grid.add_column(no_wrap=True, overflow=_overflow(), ratio=1)
    grid.add_row("", Text(heading, style="bold"))
    for text, name in rows:
        grid.add_row(Text(text), Text(name))
    return grid


def _beside(tables: Sequence[Table], columns: int) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(columns):
        grid.add_column(ratio=1, vertical="top")
    grid.add_row(*tables)
    return grid


def _room(height: int | None, taken: int, stacked: int) -> int | None:
    """How many records each list may show, where so many stand one below another; None: all."""
    if height is None or not stacked:
        return None
    left = height - taken - LINES_AROUND - 2 * stacked  # a heading and a blank line each
    return max(LEAST_ROWS, left // stacked)


def _overflow() -> str:
    return "ellipsis" if fits("…") else "crop"
