"""The contracts: a `Kind` is a field's type, a `Raw` is a field as its class declares it.

A kind takes values, gives their plain form, and reads them from text.

Plain data (None, numbers, text, dates, lists, dicts …) names no class: reading it runs no code of the file's author.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from store.classes.shown import shown

NOTHING = type(None)
SCALARS = (NOTHING, bool, int, float, str)
LISTS = (list, tuple, set, frozenset)
LEAVES = frozenset({*SCALARS, bytes, datetime, date, time, timedelta, Decimal, UUID, complex})


class Source(Enum):
    """Where a value comes from. Only a program has to give the very type; from elsewhere it is converted."""

    PROGRAM = "program"
    STORE = "store"
    TEXT = "text"  # an imported text or a variable: a nested object may have no key that its class does not know


class Target(NamedTuple):
    """What plain data is for: the types it keeps as they are; others become text or numbers."""

    format: str
    leaves: frozenset[type]
    keys: frozenset[type]


STORED = Target("the store", LEAVES, LEAVES)


class Kind(Protocol):
    """The values of one type. `where` names the field in errors, as `Prefs.recent[2]`."""

    name: str

    def take(self, value: Any, where: str, source: Source) -> Any:
        """The value to hold, converted where that loses nothing. Raises: TypeError, ValueError: it does not fit."""

    def plain(self, value: Any, where: str) -> Any:
        """The plain form of a value that was taken, for the store. Raises: TypeError, ValueError: it has none."""

    def parse(self, text: str, where: str) -> Any:
        """The value that the text of an environment variable spells. Raises: TypeError, ValueError."""


REFUSALS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What a class raises for values that it does not take: its converter may look them up in a table, for example."""
Rule = Callable[[Any], None]
"""Raises TypeError or ValueError for a value that a field's own validator refuses."""
Build = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
"""Makes an object of held values, which were converted when they were assigned, and of new ones."""


class Raw(NamedTuple):
    """A field of a dataclass or an attrs class. `default` is None where it has none."""

    name: str
    default: Callable[[], Any] | None
    rule: Rule | None = None
    converts: bool = False


def refused(where: str, takes: str, value: Any) -> TypeError:
    """The error for a value that is not of a type."""
    return TypeError(f"{where} takes {takes}, not {shown(value)} ({type(value).__name__})")


def near_miss(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'theme'?`, where a name is much like another."""
    found = get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def from_json(text: str, where: str, takes: str) -> Any:
    """The plain data of a text in JSON. Raises: ValueError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{where} takes {takes} as JSON, not {shown(text)}: {exc}") from exc


def parsed_json(kind: Kind, text: str, where: str) -> Any:
    """The value of a kind that a text in JSON spells. Raises: TypeError, ValueError."""
    return kind.take(from_json(text, where, kind.name), where, Source.TEXT)
