"""JSON output: one document for any number of records, written page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import click

from store import Record
from store.cli.output.terminal import shown

PAGE = 500  # objects in one write: each write is flushed


def to_json(facts: Mapping[str, Any]) -> str:
    """The facts on one line. Values of any type pass, since any type can stand in a column of a damaged file."""
    return shown(json.dumps(facts, ensure_ascii=False, default=str))


def as_json(record: Record) -> dict[str, Any]:
    """The fields of a record; times as RFC 3339 has them."""
    return {
        field: value.isoformat() if isinstance(value, datetime) else value for field, value in asdict(record).items()
    }


def print_report(report: Any, as_object: bool, show: Callable[[Any], None]) -> None:
    """Prints the dataclass that a maintenance method returned: as a JSON object, or with `show` as text."""
    if as_object:
        click.echo(to_json(asdict(report)))
    else:
        show(report)


def print_array(objects: Iterable[Mapping[str, Any]], *, as_they_come: bool = False) -> None:
    """Prints a JSON array of objects, one on a line, without holding more than a page of them.

    `as_they_come`: each object is written at once, and the array is closed even if an error ends it.
    """
    lines = map(to_json, objects)
    separator, is_whole = "[", as_they_come
    try:
        while page := list(islice(lines, 1 if as_they_come else PAGE)):
            click.echo(separator + ",\n ".join(page), nl=False)
            separator = ",\n "
        is_whole = True
    finally:
        if is_whole:
            click.echo("[]" if separator == "[" else "]")
