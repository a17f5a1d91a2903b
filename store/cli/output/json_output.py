"""JSON out: one document, whatever the number of records, written as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import click

from store import Record
from store.cli.output.terminal import shown

PAGE = 500  # objects in one write: each write is flushed


def to_json(facts: Mapping[str, Any]) -> str:
    """As one line. In a damaged file anything can stand in any column, so it must not matter what does."""
    return shown(json.dumps(facts, ensure_ascii=False, default=str))


def as_json(record: Record) -> dict[str, Any]:
    """The fields of a record; times as RFC 3339 has them."""
    return {
        field: value.isoformat() if isinstance(value, datetime) else value for field, value in asdict(record).items()
    }


def print_array(objects: Iterable[Mapping[str, Any]]) -> None:
    """Prints a JSON array of objects, one on a line, without holding more than a page of them."""
    lines = map(to_json, objects)
    separator = "["
    while page := list(islice(lines, PAGE)):
        click.echo(separator + ",\n ".join(page), nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")
