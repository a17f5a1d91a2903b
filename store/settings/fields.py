"""The functions that read and write fields of a `Settings`, several at once or as one step, and `on_change`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from store.classes.shown import shown
from store.opened.edits import together
from store.settings.changes import Callback, Handle
from store.settings.settings import Settings, values_of

T = TypeVar("T")

# -- reading


def as_dict(prefs: Settings[Any], *, with_env: bool = False) -> dict[str, Any]:
    """All fields, as of one moment: stored values and defaults; with variables only if asked.

    So `update(prefs, as_dict(prefs))` stores nothing that comes from the environment.
    """
    values = values_of(prefs)
    stored = values.all_stored()
    found = {}
    for name, field in values.schema.fields.items():
        wins, value = values.environment.find(field, lambda: stored) if with_env else (False, None)
        found[name] = value if wins else stored[name] if name in stored else field.default()
    return found


def as_object(prefs: Settings[T]) -> T:
    """An object of the class, as of one moment, with the values that attributes give: variables win.

    Raises:
        TypeError, ValueError: the class refuses them.
    """
    values, found = values_of(prefs), as_dict(prefs, with_env=True)
    try:
        return cast(T, values.schema.built(found, {}, "refuses what is stored"))
    except (TypeError, ValueError) as error:
        reasons = [values.refusal(name, found[name], exc) for name, exc in values.schema.refused(found).items()]
        raise type(error)(f"{error}. {'; '.join(reasons)}" if reasons else str(error)) from error


def typed(prefs: Settings[T]) -> T:
    """The same object, which type checkers and editors take for one of the class: `typed(prefs).font_size`."""
    values_of(prefs)
    return cast(T, prefs)


def changed(prefs: Settings[Any]) -> dict[str, Any]:
    """The stored values, which differ from the defaults, by name; without variables."""
    return values_of(prefs).all_stored()


def unknown(prefs: Settings[Any]) -> list[str]:
    """The names in the file that are no fields of the class: of an earlier, or a later, release."""
    values = values_of(prefs)
    return [name for name in values.store.names() if name not in values.schema.fields]


def overridden(prefs: Settings[Any]) -> dict[str, str]:
    """The fields that an environment variable wins over, each with the variable's name."""
    return values_of(prefs).environment.overridden()


# -- writing


def update(prefs: Settings[Any], other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:
    """Stores several fields: all, or none if one is refused.

    Raises:
        AttributeError: there is no such field; says which was meant. TypeError, ValueError: a value is not of the
            field's type, or the class refuses it; each such field is named.
    """
    values, new = values_of(prefs), dict(other, **named)
    values.write(new)
    values.warn_of_variables(new)


@contextlib.contextmanager
def edit(prefs: Settings[Any], name: str) -> Iterator[Any]:
    """Gives the stored value, or the default, to be changed in place, and stores it: one atomic step.

    The value is checked and validated. An attrs converter does not run: it ran when the value was assigned. An
    exception that leaves the block writes nothing.

    Raises:
        TypeError: the value cannot be changed in place: use `modify`. And as an assignment.
    """
    values = values_of(prefs)
    field = values.schema.field(name)
    with values.block(name):
        value = values.stored(field)
        if isinstance(value, str | int | float | bytes | tuple | frozenset | None):
            raise TypeError(
                f"{field.where} is {shown(value)}, which cannot be changed in place: assign it, or use "
                f"modify(prefs, {name!r}, lambda value: …)"
            )
        yield value
        values.write({name: value}, in_place=True)
    values.warn_of_variables([name])


def modify(prefs: Settings[Any], name: str, fn: Callable[[Any], Any]) -> Any:
    """Stores `fn(value)` in place of the stored value, or the default, as one atomic step, and returns it."""
    values = values_of(prefs)
    field = values.schema.field(name)
    value = together(values.store.opened, lambda: values.write({name: fn(values.stored(field))})[name])
    values.warn_of_variables([name])
    return value


def reset(prefs: Settings[Any], *names: str) -> None:
    """Puts fields back to their defaults, as one step; a name that `unknown` gives is deleted.

    Raises:
        AttributeError: there is no such field.
    """
    values = values_of(prefs)
    for name in names:
        if name not in values.store:  # one of another release may be there
            values.schema.field(name)
    together(values.store.opened, lambda: [values.store.delete(name) for name in names])


def reset_all(prefs: Settings[Any]) -> None:
    """Puts all fields back to their defaults; what `unknown` names stays."""
    reset(prefs, *values_of(prefs).schema.fields)


def on_change(prefs: Settings[Any], name: str, callback: Callback) -> Handle:
    """Calls `callback(old, new)` when any process, thread or object has changed the field's value, this one included.

    The thread `store-settings`, which there is while there are callbacks, makes one call at a time. Changes that come
    faster than `interval` are one call; a variable that wins hides them. What the callback raises goes to
    `threading.excepthook`, and the next change is reported all the same. A store that can no longer be read is
    reported there too, and ends the thread. `stop()` of the handle ends the calls; so does `close`.

    Raises:
        StoreError: inside a transaction of this thread, where the changes of others cannot come; and as reading.
    """
    values = values_of(prefs)
    values.schema.field(name)
    if not callable(callback):
        raise TypeError(f"a callback is a function of the old and the new value, not {shown(callback)}")
    return values.changes.add(name, callback)
