"""Environment variables, which win over fields when these are read, as if they had been assigned."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from store.settings.schema import Field, Schema


class Environment:
    """The variables of the fields of a class; there are none without a prefix."""

    def __init__(self, schema: Schema, prefix: str | None) -> None:
        self._schema = schema
        self._variables = {} if prefix is None else _variables_of(schema, prefix)

    def overridden(self) -> dict[str, str]:
        """The fields that a variable wins over, each with the variable's name."""
        return {name: variable for name, variable in self._variables.items() if variable in os.environ}

    def find(self, field: Field, held: Callable[[], Mapping[str, Any]]) -> tuple[bool, Any]:
        """Whether a variable wins over a field, and its value, validated with the `held` values of other fields.

        Raises:
            ValueError: it is not of the field's type, or the class refuses it.
        """
        variable = self._variables.get(field.name)
        text = None if variable is None else os.environ.get(variable)
        if text is None:
            return False, None
        try:
            return True, self._assigned(field, text, held)
        except (TypeError, ValueError) as exc:
            reason = str(exc)
            if field.where not in reason:
                reason = f"{field.where}: {reason.removeprefix(f'{field.name}: ')}"
            raise ValueError(
                f"the environment variable {variable} is refused: {reason}; correct it or unset it"
            ) from exc

    def _assigned(self, field: Field, text: str, held: Callable[[], Mapping[str, Any]]) -> Any:
        """The value that the text spells or, where a converter or validator makes the value, makes of the text."""
        try:
            return self._validated(field, field.kind.parse(text, field.where), held)
        except (TypeError, ValueError) as exc:
            if field.converts:
                with suppress(TypeError, ValueError):  # the first error tells more
                    return self._validated(field, text, held)
            raise exc

    def _validated(self, field: Field, value: Any, held: Callable[[], Mapping[str, Any]]) -> Any:
        """The value as the class has it: with other variables, which may fit together alone, or by itself."""
        if not self._schema.has_validators:
            return value
        stored, alone, others = held(), {field.name: value}, self._others(field)
        if others:
            with suppress(TypeError, ValueError):  # perhaps because of another one, whose own read will report it
                return self._schema.validated(stored, {**others, **alone}, "").values[field.name]
        return self._schema.validated(stored, alone, "").values[field.name]

    def _others(self, field: Field) -> dict[str, Any]:
        found = {}
        for name, variable in self.overridden().items():
            other = self._schema.fields[name]
            try:
                found[name] = other.kind.parse(os.environ[variable], other.where)
            except (TypeError, ValueError):
                if other.converts:
                    found[name] = os.environ[variable]
        found.pop(field.name, None)
        return found


def _variables_of(schema: Schema, prefix: str) -> dict[str, str]:
    """The variable of each field. Raises: TypeError, ValueError: two fields have the same."""
    if not isinstance(prefix, str):
        raise TypeError(f"env_prefix is a str or None, not {prefix!r}")
    found = {name: (prefix + name).upper() for name in schema.fields}
    for name, variable in found.items():
        twins = [other for other in found if found[other] == variable]
        if len(twins) > 1:
            raise ValueError(f"{' and '.join(twins)} would both be the variable {variable}; rename {name}")
    return found
