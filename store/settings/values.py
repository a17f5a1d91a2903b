"""The values behind one `Settings`: what is stored, what the environment says, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from store.classes.shown import shown
from store.engines.capabilities import Transaction
from store.mapping.store import Store
from store.opened.edits import together
from store.settings.changes import Changes
from store.settings.environment import Environment
from store.settings.frozen import frozen
from store.settings.opening import put_plain
from store.settings.schema import Field, Schema, each
from store.system.caller import warn

_MISSING: Any = object()


class Values:
    """The values of the fields of a schema, in a store. Safe across threads and processes."""

    def __init__(self, schema: Schema, environment: Environment, store: Store[Any], interval: float) -> None:
        self.schema, self.environment, self.store = schema, environment, store
        self.changes = Changes(lambda: store.watch(timeout=interval, interval=interval), self.get)
        self._warned: set[str] = set()

    def get(self, name: str) -> Any:
        """The value that an attribute gives: a variable, else what is stored, else the default; it refuses changes.

        Raises:
            AttributeError: there is no such field. ValueError: the variable is refused. StoreError.
        """
        field = self.schema.field(name)
        found, value = self.environment.find(field, self.all_stored)
        return frozen(value if found else self.stored(field), field.where)

    def stored(self, field: Field) -> Any:
        """The stored value, or the default where there is none that fits."""
        plain = self.store.get(field.name, _MISSING)
        value = _MISSING if plain is _MISSING else self._restored(field, plain)
        return field.default() if value is _MISSING else value

    def all_stored(self) -> dict[str, Any]:
        """The stored values that fit, by name, as of one moment."""
        found = self.store.get_many(self.schema.fields)
        values = {name: self._restored(self.schema.fields[name], plain) for name, plain in found.items()}
        return {name: value for name, value in values.items() if value is not _MISSING}

    def write(self, new: Mapping[str, Any], *, in_place: bool = False) -> dict[str, Any]:
        """Check and store values, as one step; returns them as they are held. `in_place`: they were held before.

        Raises:
            AttributeError, TypeError, ValueError: values are refused, and nothing is stored. StoreError.
        """
        fields = self.schema.fields
        taken = self.schema.taken(new)

        def work() -> dict[str, Any]:
            held = taken
            if self.schema.has_validators:
                stored = self.all_stored()
                held, refused = self.schema.validated(stored, held, in_place=in_place)
                for name, exc in refused.items():
                    self._warn_once(name, f"{self.refusal(name, stored[name], exc)}; the other fields can be set")
            plain = each(held, lambda name, value: fields[name].plain(value))
            for name, one in plain.items():
                if fields[name].is_default(one):
                    self.store.delete(name)
                else:
                    put_plain(self.store, name, one)
            return held

        return together(self.store.opened, work)

    def block(self, name: str) -> Transaction:
        """A transaction for a block of the program, in which nobody else changes that field.

        An optimistic one has leases for that: of all fields, where they are validated together.
        """
        opened = self.store.opened
        if not opened.is_optimistic:
            return opened.transaction(block=True)
        names = list(self.schema.fields) if self.schema.has_validators else [name]
        return opened.transaction(block=True, names=names)

    def refusal(self, name: str, value: Any, exc: Exception) -> str:
        """The message for a value that the class no longer takes."""
        where, variable = self.schema.fields[name].where, self.environment.overridden().get(name)
        if variable is not None:
            return f"{where} is {shown(value)} by the variable {variable}, which is refused ({exc}); unset it"
        return (
            f"{where} is stored as {shown(value)}, which is refused now ({exc}); assign it, or "
            f"settings.reset(prefs, {name!r})"
        )

    def warn_of_variables(self, names: Iterable[str]) -> None:
        """Warn of fields that were written and have a variable that wins over them."""
        for name, variable in self.environment.overridden().items():
            if name in names:
                warn(f"{name} is stored, and the environment variable {variable} still wins over it")

    def _restored(self, field: Field, plain: Any) -> Any:
        """The value of what is stored; `_MISSING`, with one warning, where it does not fit."""
        try:
            return field.restored(plain)
        except (TypeError, ValueError) as exc:
            self._warn_once(
                field.name,
                f"what is stored for {field.where}, {shown(plain)}, does not fit ({exc}), and its default holds; "
                f"assign the field, or settings.reset(prefs, {field.name!r}), to be rid of it",
            )
        return _MISSING

    def _warn_once(self, name: str, message: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            warn(message)
