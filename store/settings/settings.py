"""Settings: what a dataclass describes, kept in a store, with types, defaults and environment variables.

    from dataclasses import dataclass, field
    from store.settings import Settings

    @dataclass
    class Prefs:
        theme: str = "dark"
        font_size: int = 14
        recent: list[str] = field(default_factory=list)

    with Settings(Prefs, "app.db") as prefs:           # or Settings.for_app(Prefs, "myapp")
        prefs.theme                                    # "dark", until somebody sets it
        prefs.theme = "light"                          # checked, and in the file when this returns
        prefs.update(theme="sepia", font_size=16)      # both or neither
        with prefs.edit("recent") as recent:           # what is read refuses changes: edit writes them back
            recent.append("notes.txt")
        prefs.changed()                                # what differs from the defaults
        prefs.reset("theme")                           # also: del prefs.theme

The class is a schema: a dataclass (frozen or not), an attrs class or a pydantic model, whose fields all have
defaults. Each read asks the file, so that processes and threads see each other's writes at once; each field is a
record of its own, so that two that set different fields lose nothing. Defaults are never stored: to assign a field
its default is to reset it, and a later release may change the default.

What is stored is plain data, enums and nested dataclasses too, and is made into objects by your class alone: to read
somebody else's file runs nothing that the file says.

When the class changes: a new field has its default; what a field is gone from stays in the file (`unknown()`); where
a type changed, a stored value is converted if that loses nothing (int to float, str to an Enum by value, list to
tuple), and otherwise the default holds, with one warning, until the field is written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast, overload

from store.classes.shown import shown
from store.errors import StoreError
from store.mapping.store import Store
from store.opened.edits import step
from store.settings.changes import Callback, Changes, Handle, stamps_of
from store.settings.environment import Environment
from store.settings.fields import Field, Schema, each, schema_of
from store.settings.frozen import frozen
from store.settings.opening import NAMESPACE, config_file, opened, put_plain, usable
from store.settings.text import format_of, target_of, text_of, values_in, write_file
from store.system.caller import warn

T = TypeVar("T")
S = TypeVar("S")

INTERVAL_SECONDS = 0.05
_MISSING: Any = object()


class Settings(Generic[T]):
    """The fields of a class as attributes that live in a store; see the module for a start.

    Safe across threads and processes. After a fork the child goes on reading and writing, and has no callbacks.

    Args:
        schema: the class: its fields, their types and defaults.
        location: a path or URL, as for `Store`; or an open `Store`, which is then not closed by this.
        namespace: where in the file.
        env_prefix: environment variables of that prefix and the field's name in capitals win when fields are read
            (`MYAPP_FONT_SIZE=20`), are parsed by its type (lists as `a,b` or JSON; objects, and lists of a pydantic
            model, as JSON), converted and validated as if they were assigned, and never stored. "" is a prefix; None
            is no variables.
        mode, trust, key, durability, timeout: as those of `Store`, where it is opened here.
        interval: seconds between two looks for changes, where there are callbacks.
        wait: what waits so long, and gives True when it is time to end; for tests.

    Raises:
        TypeError, ValueError: the class is none that can be kept. StoreError: as `Store`.
    """

    def __init__(
        self,
        schema: type[T],
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = NAMESPACE,
        env_prefix: str | None = None,
        interval: float = INTERVAL_SECONDS,
        wait: Callable[[float], bool] | None = None,
        **options: Any,
    ) -> None:
        set_own = super().__setattr__
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
            raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
        set_own("_schema", usable(schema_of(schema), Settings))
        set_own("_environment", Environment(self._schema, env_prefix))
        set_own("_warned", set())
        set_own("_store", opened(location, namespace, options))
        set_own("_changes", Changes(lambda: stamps_of(self._store), self.__getattr__, interval, wait))

    if TYPE_CHECKING:
        _schema: Schema
        _environment: Environment
        _warned: set[str]
        _store: Store[Any]
        _changes: Changes
    else:

        def __class_getitem__(cls, schema: Any) -> Any:
            """`Settings[Prefs]`, which also knows its class when it is called."""
            if isinstance(schema, type) and "_bound" not in cls.__dict__:
                return _Bound(f"{cls.__name__}[{schema.__name__}]", (cls,), {"_bound": schema})
            return super().__class_getitem__(schema)

    @overload
    @classmethod
    def for_app(cls, schema: type[S], app: str, /, **options: Any) -> Settings[S]: ...
    @overload
    @classmethod
    def for_app(cls, app: str, /, **options: Any) -> Self: ...
    @classmethod
    def for_app(cls, first: Any, second: Any = None, /, **options: Any) -> Any:
        """The settings of a program, in `settings.db` in its own folder in the platform's configuration directory.

        `Settings.for_app(Prefs, "myapp")`, or `Settings[Prefs].for_app("myapp")`. The folder is made.

        Raises:
            StorageError: this user has no home, or the folder cannot be made. And as `Settings`.
        """
        schema, app = (getattr(cls, "_bound", None), first) if second is None else (first, second)
        if not isinstance(schema, type) or not isinstance(app, str):
            raise TypeError(
                'for_app takes the class and the name of the program: Settings.for_app(Prefs, "myapp"), or '
                'Settings[Prefs].for_app("myapp")'
            )
        return cls(schema, config_file(app), **options)

    # -- one field

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
        field = self._schema.field(name)
        found, value = self._environment.find(field, self._all_stored)
        return frozen(value if found else self._stored(field), field.where)

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delattr__(self, name: str) -> None:
        self._schema.field(name)
        self.reset(name)

    @contextlib.contextmanager
    def edit(self, name: str) -> Iterator[Any]:
        """Gives the stored value, or the default, to be changed in place, and stores it: one atomic step.

        It is checked and validated, and was converted when it was assigned: an attrs converter does not run. An
        exception that leaves the block writes nothing.

        Raises:
            TypeError: the value cannot be changed in place: use `modify`. And as an assignment.
        """
        field = self._schema.field(name)
        with self._store.transaction():
            value = self._stored(field)
            if isinstance(value, str | int | float | bytes | tuple | frozenset | None):
                raise TypeError(
                    f"{field.where} is {shown(value)}, which cannot be changed in place: assign it, or use "
                    f"modify({name!r}, lambda value: …)"
                )
            yield value
            self._write({name: value}, in_place=True)
        self._warn_of_variables([name])

    def modify(self, name: str, fn: Callable[[Any], Any]) -> Any:
        """Stores `fn(value)` in place of the stored value, or the default, as one atomic step, and returns it."""
        field = self._schema.field(name)
        with step(self._store):
            value = self._write({name: fn(self._stored(field))})[name]
        self._warn_of_variables([name])
        return value

    def on_change(self, name: str, callback: Callback) -> Handle:
        """Calls `callback(old, new)` when the field's value has changed, whoever changed it, this object included.

        In the thread `store-settings`, which this object has while it has callbacks: one call at a time. Changes
        that come faster than `interval` are one call; a variable that wins hides them. What the callback raises
        goes to `threading.excepthook`, and the next change is told all the same. A store that can no longer be
        read is reported there too, and ends the thread. `stop()` of what is returned ends it; so does `close`.
        """
        self._schema.field(name)
        if not callable(callback):
            raise TypeError(f"a callback is a function of the old and the new value, not {shown(callback)}")
        return self._changes.add(name, callback)

    # -- many

    def update(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:
        """Stores several fields: all, or none if one is refused.

        Raises:
            AttributeError: there is no such field; says which was meant. TypeError, ValueError: a value is not of
                the field's type, or the class refuses it; each such field is named.
        """
        new = dict(other, **named)
        for name in new:
            self._schema.field(name)
        self._write(new)
        self._warn_of_variables(new)

    def reset(self, *names: str) -> None:
        """Puts fields back to their defaults, as one step; a name that `unknown()` gives is deleted.

        Raises:
            AttributeError: there is no such field.
        """
        for name in names:
            if name not in self._store:  # one of another release may be there
                self._schema.field(name)
        with step(self._store):
            for name in names:
                self._forget(name)

    def reset_all(self) -> None:
        """Puts all fields back to their defaults; what `unknown()` names stays."""
        self.reset(*self._schema.fields)

    def as_dict(self, *, with_env: bool = False) -> dict[str, Any]:
        """All fields, as of one moment: stored values and defaults; with variables only if asked.

        Hence `prefs.update(prefs.as_dict())` stores nothing that comes from the environment.
        """
        stored = self._all_stored()
        found = {}
        for name, field in self._schema.fields.items():
            wins, value = self._environment.find(field, lambda: stored) if with_env else (False, None)
            found[name] = value if wins else stored[name] if name in stored else field.default()
        return found

    def as_object(self) -> T:
        """An object of the class, as of one moment, with the values that attributes give: variables win.

        Raises:
            TypeError, ValueError: the class refuses them.
        """
        values = self.as_dict(with_env=True)
        try:
            return cast(T, self._schema.built(values, {}, "refuses what is stored"))
        except (TypeError, ValueError) as error:
            _, refused = self._schema.fitting(values)
            told = [self._refusal(name, values[name], exc) for name, exc in refused.items()]
            raise type(error)(f"{error}. {'; '.join(told)}" if told else str(error)) from error

    @property
    def typed(self) -> T:
        """This same object, which type checkers and editors take for one of the class: `prefs.typed.font_size`."""
        return cast(T, self)

    def changed(self) -> dict[str, Any]:
        """The stored values that differ from the defaults, by name; without variables."""
        return self._all_stored()

    def unknown(self) -> list[str]:
        """Names that are in the file and are no fields of the class: of an earlier, or a later, release."""
        return [name for name in self._store.names() if name not in self._schema.fields]

    def overridden(self) -> dict[str, str]:
        """The fields that an environment variable wins over, each with the variable's name."""
        return self._environment.overridden()

    # -- text

    def export(self, format: str, *, with_env: bool = False) -> str:
        """All fields as a text in "toml", "json" or "yaml".

        In TOML, which has no null, what is None is named in a list: `_none = ["proxy", "window.title"]`.

        Raises:
            CodecUnavailable: the library is missing (tomli-w, pyyaml). ValueError: the format cannot hold a value.
        """
        target = target_of(format)
        values = self.as_dict(with_env=with_env)
        fields = self._schema.fields
        plain = each(values, lambda name, value: None if value is None else fields[name].plain(value, target))
        return text_of(plain, format)

    def export_to(self, path: str | os.PathLike[str], format: str | None = None, *, with_env: bool = False) -> None:
        """The same as a file, replaced as a whole; the format is that of its suffix. Raises: OSError too."""
        path = os.fsdecode(path)
        if os.path.realpath(path) == os.path.realpath(self._store.location):
            raise ValueError(f"{path} is the store itself; name another file")
        write_file(path, self.export(format_of(path, format), with_env=with_env))

    def import_(self, text: str, format: str) -> None:
        """Stores the fields that a text in "toml", "json" or "yaml" names: all of them or, if one is bad, none.

        Each is assigned, hence converted and validated by the class. Fields that it does not name stay as they are.
        Comments are lost: they are not in what `export` gives.

        Raises:
            ValueError: the text is not of that format, or names fields that are unknown or have bad values: each
                is told. CodecUnavailable: pyyaml is missing.
        """
        found = values_in(text, format)
        try:
            new = each(found, self._imported)
            self._write(new)
        except TypeError as exc:
            raise ValueError(str(exc)) from exc
        self._warn_of_variables(new)

    def import_from(self, path: str | os.PathLike[str], format: str | None = None) -> None:
        """The same of a file, whose suffix tells the format. Raises: OSError too."""
        path = os.fsdecode(path)
        format = format_of(path, format)
        try:
            text = Path(path).read_text(encoding="utf-8")
            self.import_(text, format)
        except StoreError:
            raise
        except ValueError as exc:
            raise ValueError(f"{path}: {exc}") from exc

    # -- the object

    def close(self) -> None:
        """Ends the callbacks and closes the store if it was opened here; a second call does nothing."""
        self._changes.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._schema.fields]

    def __repr__(self) -> str:
        return f"<Settings of {self._schema.cls.__name__} in {self._store!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Settings are not pickled or copied: open them in the other process, by their path")

    # -- how it is done

    def _stored(self, field: Field) -> Any:
        """The stored value, or the default where there is none that fits."""
        plain = self._store.get(field.name, _MISSING)
        return field.default() if plain is _MISSING else self._restored(field, plain, field.default)

    def _all_stored(self) -> dict[str, Any]:
        found = self._store.get_many(self._schema.fields)
        values = {name: self._restored(self._schema.fields[name], plain, None) for name, plain in found.items()}
        return {name: value for name, value in values.items() if value is not _MISSING}

    def _restored(self, field: Field, plain: Any, default: Callable[[], Any] | None) -> Any:
        """The value of what is stored; where it does not fit the default, and a warning, once."""
        try:
            return field.restored(plain)
        except (TypeError, ValueError) as exc:
            self._warn_once(
                field.name,
                f"what is stored for {field.where}, {shown(plain)}, does not fit ({exc}), and its default holds; "
                f"assign the field, or reset({field.name!r}), to be rid of it",
            )
        return _MISSING if default is None else default()

    def _warn_once(self, name: str, message: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            warn(message)

    def _refusal(self, name: str, value: Any, exc: Exception) -> str:
        """What is to be told of a value that the class refuses by now."""
        where, variable = self._schema.fields[name].where, self.overridden().get(name)
        if variable is not None:
            return f"{where} is {shown(value)} by the variable {variable}, which is refused ({exc}); unset it"
        return f"{where} is stored as {shown(value)}, which is refused now ({exc}); assign it, or reset({name!r})"

    def _write(self, new: Mapping[str, Any], *, in_place: bool = False) -> dict[str, Any]:
        """Check and store values, as one step; returns them as they are held. `in_place`: they were held before."""
        checked = self._schema.checked(new)
        with step(self._store):
            if self._schema.judges:
                stored = self._all_stored()
                checked, refused = self._schema.judged(stored, checked, in_place=in_place)
                for name, exc in refused.items():
                    self._warn_once(name, f"{self._refusal(name, stored[name], exc)}; the other fields can be set")
            fields = self._schema.fields
            plain = each(checked, lambda name, value: fields[name].plain(value))
            for name, one in plain.items():
                if fields[name].is_default(one):
                    self._forget(name)
                else:
                    put_plain(self._store, name, one)
        return checked

    def _forget(self, name: str) -> None:
        with contextlib.suppress(KeyError):
            del self._store[name]

    def _imported(self, name: str, plain: Any) -> Any:
        try:
            field = self._schema.field(name)
        except AttributeError as exc:
            raise ValueError(str(exc)) from None
        return field.imported(plain)

    def _warn_of_variables(self, names: Any) -> None:
        for name, variable in self.overridden().items():
            if name in names:
                warn(f"{name} is stored, and the environment variable {variable} still wins over it")


class _Bound(type):
    """The class of `Settings[Prefs]`: called without the class of the fields, it fills it in."""

    _bound: Any

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return super().__call__(cls._bound, *(args[1:] if args[:1] == (cls._bound,) else args), **options)

    def __instancecheck__(cls, other: object) -> bool:
        if super().__instancecheck__(other):
            return True
        return "_bound" in cls.__dict__ and isinstance(other, Settings) and other._schema.cls is cls._bound
