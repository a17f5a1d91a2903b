"""Settings in a notebook: each field with its value, and whether that is the default, stored, or of a variable.

Notebooks are saved with what they show, and passed on: a field whose name says that it is a secret is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from store.classes.shown import described, shown
from store.display.notebook import MOST, ROWS, card, quoted, rows_of, short
from store.errors import StoreError
from store.settings.schema import Field
from store.settings.values import Values

_SECRETS = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|(api|private|access|signing)_?key", re.IGNORECASE
)
_OPEN = (bool, int, float, type(None))  # max_tokens is no secret
_HEADINGS = ("field", "value", "from")


def settings_html(values: Values) -> str:
    """The table of settings. It says what is wrong instead of raising it."""
    fields = list(values.schema.fields.values())
    title = f"Settings of {short(values.schema.cls.__name__)}"
    where = [("location", short(values.store.location, 200)), ("namespace", quoted(values.store.namespace))]
    try:
        stored = values.all_stored()
    except Exception as exc:  # a class's own converters may raise anything, and so do warnings that are errors
        problem = described(exc) if not isinstance(exc, StoreError) else f"{type(exc).__name__}: {exc}"
        return card(title, [*where, ("problem", short(problem, 500))])
    rows = [_cells(values, field, stored) for field in fields[:ROWS]]
    total = f"{ROWS} of {len(fields):,} fields" if len(fields) > ROWS else "all fields"
    return card(title, where, rows_of(_HEADINGS, rows, total))


def _cells(values: Values, field: Field, stored: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, value and origin of a field."""
    variable = values.environment.overridden().get(field.name)
    origin = f"variable {short(variable)}" if variable else "stored" if field.name in stored else "default"
    try:
        is_set, value = values.environment.find(field, lambda: stored)
        if not is_set:
            value = stored[field.name] if field.name in stored else field.default()
        plain = value if isinstance(value, _OPEN) else field.kind.plain(value, field.where)
        secret = _secret_in({field.name: plain})
    except Exception as exc:  # as above; its message cites the value
        text = type(exc).__name__ if _SECRETS.search(field.name) else short(described(exc), 200)
        return short(field.name), text, origin
    return short(field.name), short(shown(value, MOST)) if secret is None else f"(hidden: {short(secret)})", origin


def _secret_in(plain: Any) -> str | None:
    """The first name in plain data that says it is a secret, and has one."""
    if isinstance(plain, dict):
        for name, value in plain.items():
            if isinstance(name, str) and _SECRETS.search(name) and not isinstance(value, _OPEN):
                return name
    parts = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return next((found for part in parts if (found := _secret_in(part)) is not None), None)
