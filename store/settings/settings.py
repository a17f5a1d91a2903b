"""`Settings`: a class's fields as attributes that live in a store."""

from __future__ import annotations

import os
from typing import Any, Generic, NoReturn, Self, TypeVar, Unpack

from store.classes.shown import shown
from store.mapping.store import Store
from store.settings.classes import schema_of
from store.settings.environment import Environment
from store.settings.opening import NAMESPACE, SettingsOptions, config_file, opened
from store.settings.values import Values

T = TypeVar("T")

INTERVAL_SECONDS = 0.05


class Settings(Generic[T]):
    """The fields of a class as attributes that live in a store. The functions of `store.settings` do the rest.

    Reading an attribute asks the store, assigning it stores a value that was checked, and `del` restores the default.
    It has no method of its own, so a field may have any name that does not begin with `_`.

    Safe across threads and processes. After a fork the child goes on reading and writing, and has no callbacks.

    Args:
        schema: the class: its fields, their types and defaults.
        location: a path or URL, as for `Store`; or an open `Store`, which stays open when this is closed.
        namespace: where in the file.
        env_prefix: environment variables of that prefix and the field's name in capitals win when fields are read
            (`MYAPP_FONT_SIZE=20`). They are parsed by the field's type (lists as `a,b` or JSON; objects, and lists of
            a pydantic model, as JSON), converted and validated as if they were assigned, and never stored. "" is a
            prefix; None: no variable is read.
        interval: seconds between two looks for changes, where there are callbacks.
        options: mode, trust, key, durability, timeout, as for the `Store` that is opened here.

    Raises:
        TypeError, ValueError: the class cannot be kept. StoreError: as `Store`.
    """

    __slots__ = ("__settings__", "__weakref__")
    __settings__: Values

    def __init__(
        self,
        schema: type[T],
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = NAMESPACE,
        env_prefix: str | None = None,
        interval: float = INTERVAL_SECONDS,
        **options: Unpack[SettingsOptions],
    ) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
            raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
        fields = schema_of(schema)
        environment = Environment(fields, env_prefix)
        store = opened(location, namespace, options)
        object.__setattr__(self, "__settings__", Values(fields, environment, store, interval))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
        return self.__settings__.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__settings__.write({name: value})
        self.__settings__.warn_of_variables([name])

    def __delattr__(self, name: str) -> None:
        self.__settings__.schema.field(name)
        self.__settings__.store.delete(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        close(self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__settings__.schema.fields]

    def __repr__(self) -> str:
        return f"<Settings of {self.__settings__.schema.cls.__name__} in {self.__settings__.store!r}>"

    def _repr_html_(self) -> str:
        from store.settings.notebook import settings_html

        return settings_html(self.__settings__)

    def __reduce__(self) -> NoReturn:
        raise TypeError("Settings are not pickled or copied: open them in the other process, by their path")


class AppOptions(SettingsOptions, total=False):
    """The options of `for_app`: those of `Settings`."""

    namespace: str
    env_prefix: str | None
    interval: float


def for_app(schema: type[T], app: str, /, **options: Unpack[AppOptions]) -> Settings[T]:
    """The settings of a program, in `settings.db` in its own folder in the platform's configuration directory.

    `settings.for_app(Prefs, "myapp")`. The folder is made.

    Raises:
        StorageError: this user has no home, or the folder cannot be made. And as `Settings`.
    """
    if not isinstance(schema, type) or not isinstance(app, str):
        raise TypeError('for_app takes the class and the name of the program: settings.for_app(Prefs, "myapp")')
    return Settings(schema, config_file(app), **options)


def close(prefs: Settings[Any]) -> None:
    """Ends the callbacks and closes the store if it was opened here; a second call does nothing."""
    values = values_of(prefs)
    values.changes.close()
    values.store.close()


def values_of(prefs: Settings[Any]) -> Values:
    """The values behind a `Settings`. Raises: TypeError: it is something else."""
    if not isinstance(prefs, Settings):
        raise TypeError(f"the first argument is the Settings, not {shown(prefs)}")
    return prefs.__settings__
