"""The entries of a settings form: one for each field of a class, or for each stored value where there is no class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from store.classes.shown import shown
from store.classes.size import too_large
from store.codecs.plain import same
from store.errors import RecordError
from store.mapping.store import Store
from store.opened.sentinels import MISSING
from store.rows.record import Record
from store.settings.classes import kind_of, schema_of
from store.settings.containers import Anything
from store.settings.kinds import LEAVES, LISTS, REFUSALS, Kind, Source
from store.settings.leaves import fitted
from store.settings.schema import Field
from store.settings.text import FORMATS
from store.web.forms.settings.choosing import input_for
from store.web.forms.settings.inputs import Input
from store.web.forms.target import record_or_none
from store.web.links import fits
from store.web.look import Budget, look

MOST_ENTRIES = 200
MOST_TEXT = 512 * 1024  # characters of all entries: a browser sends each twice, and nine times as long at worst
UNFIT = (*REFUSALS, RecursionError)  # the latter of values that hold themselves
_JSON = FORMATS["json"]
_PLAIN = frozenset({*LEAVES, *LISTS, dict})


class Entry(NamedTuple):
    """One line of the form. `text` is what the input has for the value, `value` and `default` are for people.

    `input` is None where the value cannot be edited here, and `note` says why.
    """

    name: str
    kind: Kind | None
    record: Record | None
    input: Input | None
    text: str
    value: str
    default: str | None
    note: str | None


def entries_of(s: Store[Any], schema: type | None) -> list[Entry]:
    """The entries of a class, or of what is stored. Raises: TypeError, ValueError: the class cannot be kept."""
    budget = Budget()
    if schema is None:
        return _bounded(_stored(s, name, budget) for name in s.names(limit=MOST_ENTRIES))
    return _bounded(_declared(s, field, budget) for field in schema_of(schema).fields.values())


def _bounded(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with texts that one form can send; the others are only shown."""
    left, found = MOST_TEXT, []
    for entry in entries:
        if len(entry.text) <= left:
            left -= len(entry.text)
            found.append(entry)
        else:
            note = "It is too long for this form: edit it on the page of its record."
            found.append(entry._replace(input=None, text="", note=note))
    return found


def unknown_names(s: Store[Any], schema: type) -> list[str]:
    """Names of stored values that are no fields of the class, some of them."""
    fields = schema_of(schema).fields
    return [name for name in s.names(limit=MOST_ENTRIES) if name not in fields][:20]


def entry_named(s: Store[Any], schema: type | None, name: str) -> Entry:
    """One entry. Raises: ValueError: the class has no such field."""
    if schema is None:
        return _stored(s, name, Budget())
    fields = schema_of(schema).fields
    if name not in fields:
        raise ValueError(f"{schema.__name__} has no field {name[:80]!r}: open the form again")
    return _declared(s, fields[name], Budget())


def _declared(s: Store[Any], field: Field, budget: Budget) -> Entry:
    """The entry of a field, with its default where nothing that fits is stored."""
    record, plain, note = _read(s, field.name, budget)
    value = field.default()
    if plain is not MISSING:
        try:
            value = field.restored(plain)
        except UNFIT as exc:
            note = f"What is stored, {shown(plain, inert=True)}, does not fit, and the default holds: {exc}"
    default, current = shown(field.default()), shown(value)
    try:
        written = _written(field, value)
        found = input_for(field.kind, written, field.where)
        text = found.text(written)
    except UNFIT as exc:
        return Entry(
            field.name, field.kind, record, None, "", current, default, f"It cannot be edited as a text: {exc}"
        )
    return Entry(field.name, field.kind, record, found, text, current, default, note)


def _written(field: Field, value: Any) -> Any:
    return fitted(field.kind.plain(value, field.where), field.where, _JSON)


def _stored(s: Store[Any], name: str, budget: Budget) -> Entry:
    """The entry of a stored value, whose kind is that of its type."""
    if not fits(s.namespace, name):
        return Entry(name, None, None, None, "", "", None, "Its name is too long for a form: its program edits it.")
    record, plain, note = _read(s, name, budget)
    if plain is MISSING:
        return Entry(name, None, record, None, "", "", None, note or "It is gone.")
    current = shown(plain, inert=True)
    if type(plain) not in _PLAIN:
        return Entry(name, None, record, None, "", current, None, f"{current} is edited by its program alone.")
    kind = Anything() if plain is None else kind_of(type(plain), name)
    try:
        written = fitted(kind.plain(plain, name), name, _JSON)
        if not same(kind.take(written, name, Source.TEXT), plain):
            raise ValueError("JSON would change it")
        found = input_for(kind, written, name)
        text = found.text(written)  # of an int of more digits than Python writes there is none
    except UNFIT as exc:
        return Entry(name, None, record, None, "", current, None, f"It is edited on the page of its record: {exc}")
    return Entry(name, kind, record, found, text, current, None, note)


def _read(s: Store[Any], name: str, budget: Budget) -> tuple[Record | None, Any, str | None]:
    """The record, its value, and why there is no value."""
    try:
        record = record_or_none(s, name)
    except RecordError as exc:
        return None, MISSING, str(exc)
    if record is None:
        return None, MISSING, None
    seen = look(s, record, budget)
    items = "" if seen.value is MISSING else too_large(seen.value)
    if items:  # of parts that are shared, which a text has once for each place
        return seen.record, MISSING, f"It is too large for a form: {items}. Its program edits it."
    return seen.record, seen.value, seen.problem
