"""Saving what a settings form has sent: all of the changes, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from store import settings
from store.mapping.store import Store
from store.opened.edits import together
from store.settings.classes import schema_of
from store.settings.kinds import REFUSALS, Source
from store.settings.opening import put_plain
from store.web.forms.settings.choosing import input_named
from store.web.forms.settings.entries import entry_named
from store.web.forms.settings.sent import Sent
from store.web.forms.target import record_or_none

Write = Callable[[Mapping[str, Any]], None]


class Refused(Exception):
    """Values that were not stored, each with the reason. `is_conflict`: because another writer was faster."""

    def __init__(self, problems: Mapping[str, str], *, is_conflict: bool = False) -> None:
        super().__init__(f"{len(problems)} settings were refused")
        self.problems = problems
        self.is_conflict = is_conflict


def save(s: Store[Any], schema: type | None, changed: list[Sent]) -> None:
    """Stores the values that were typed. Raises: Refused, TypeError, ValueError: nothing was stored. StoreError."""
    _check_versions(s, changed)  # first: a text may be wrong because another writer stored a value of another type
    values = _values(s, schema, changed)
    with _writer(s, schema) as (where, write):

        def work() -> None:
            _check_versions(where, changed)
            write(values)

        together(where.opened, work)


def reset(s: Store[Any], one: Sent) -> None:
    """Deletes the stored value of an entry. Raises: Refused: another writer has changed it. StoreError."""

    def work() -> None:
        _check_versions(s, [one])
        s.delete(one.target.name)

    together(s.opened, work)


def _values(s: Store[Any], schema: type | None, changed: list[Sent]) -> dict[str, Any]:
    """The values that the texts spell. Raises: Refused, with a reason for each that spells none."""
    values, problems = {}, {}
    for one in changed:
        name = one.target.name
        try:
            values[name] = _value(s, schema, one)
        except REFUSALS as exc:
            problems[name] = str(exc)
    if problems:
        raise Refused(problems)
    return values


def _value(s: Store[Any], schema: type | None, one: Sent) -> Any:
    """The value that a text spells. Raises: ValueError, TypeError: none of this type."""
    name = one.target.name
    entry = entry_named(s, schema, name)
    if entry.kind is None:
        raise ValueError("It cannot be edited here by now: open the form again")
    plain = input_named(one.input, entry.kind, name).plain(one.text)
    value = entry.kind.take(plain, name, Source.TEXT)
    if schema is not None:
        schema_of(schema).taken({name: value})
    return value


@contextmanager
def _writer(s: Store[Any], schema: type | None) -> Iterator[tuple[Store[Any], Write]]:
    """The store to write to, and the function that writes: that of Settings, where there is a class."""
    if schema is None:
        yield s, lambda values: _put_all(s, values)
        return
    prefs: settings.Settings[Any] = settings.Settings(schema, s, namespace=s.namespace)
    try:
        yield s, lambda values: settings.update(prefs, values)
    finally:
        settings.close(prefs)


def _put_all(s: Store[Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        put_plain(s, name, value)


def _check_versions(s: Store[Any], changed: list[Sent]) -> None:
    """Raises: Refused: a record is in another state than the one that was shown."""
    problems = {}
    for one in changed:
        record = record_or_none(s, one.target.name)
        if (None if record is None else record.version) != one.target.version:
            now = "has no stored value any more" if record is None else "was changed"
            problems[one.target.name] = f"It {now} meanwhile by another writer. Saving again replaces that."
    if problems:
        raise Refused(problems, is_conflict=True)
