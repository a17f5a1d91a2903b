"""`StoreSettingsSource`: what `store.settings.Settings` keeps, as a source of pydantic-settings.

    class AppSettings(BaseSettings):
        theme: str = "dark"

        @classmethod
        def settings_customise_sources(cls, settings_cls, **sources):
            return *sources.values(), StoreSettingsSource(settings_cls, "app.db")

Listed last, it comes after secrets and before the defaults of the class.
"""

from __future__ import annotations

import os
from typing import Any, Unpack

from pydantic_settings import PydanticBaseSettingsSource, SettingsError

from store.classes.shown import shown
from store.errors import StoreNotFound
from store.mapping.store import Store
from store.settings.kinds import Source
from store.settings.opening import NAMESPACE, SettingsOptions, opened
from store.settings.pydantic import Validated


class StoreSettingsSource(PydanticBaseSettingsSource):
    """The stored values of the fields of a class, read anew for each object that is made of it.

    A field's value is the record of the field's name, as `Settings` writes it. Nothing is ever written: a variable of
    the environment stays one. A file that is not there has no values; other errors of the store are raised.

    Args:
        settings_cls: the subclass of `BaseSettings`.
        location: a path or URL; or an open `Store`, which stays open.
        namespace: where in the file.
        options: trust, key, timeout, as for `Settings`; not `mode`, which is "r".
    """

    def __init__(
        self,
        settings_cls: Any,
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = NAMESPACE,
        **options: Unpack[SettingsOptions],
    ) -> None:
        super().__init__(settings_cls)
        if "mode" in options:
            raise TypeError("mode: a source of settings reads only")
        if not isinstance(location, Store):
            options["mode"] = "r"
        self._location, self._namespace, self._options = location, namespace, options
        self._where, self._plain = "", dict[str, Any]()

    def __call__(self) -> dict[str, Any]:
        """The values that are stored, by the keys that pydantic reads.

        Raises:
            SettingsError: what is stored does not fit the type of its field. StoreError: as `Store`.
        """
        self._read()
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            if name in self._plain:
                _nest(values, self._path(field, name), self._value(field, name))
        return values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """The value that the last call has found, or None; the key that pydantic reads it by; False."""
        value = self._value(field, field_name) if field_name in self._plain else None
        return value, self._path(field, field_name)[0], False

    def _read(self) -> None:
        try:
            store = opened(self._location, self._namespace, self._options)
        except StoreNotFound:
            self._plain = {}
            return
        with store:
            self._where, self._plain = store.location, store.get_many(self.settings_cls.model_fields)

    def _value(self, field: Any, name: str) -> Any:
        where, plain = f"{self.settings_cls.__name__}.{name}", self._plain[name]
        try:
            value = Validated(field.annotation, self.config).take(plain, where, Source.STORE)
        except ValueError as exc:
            raise SettingsError(
                f"what is stored for {where} in {self._where}, {shown(plain)}, does not fit ({exc}); set the record "
                f"{name!r} of the namespace {self._namespace!r}, or delete it"
            ) from exc
        if hasattr(value, "model_dump") and isinstance(self.current_state.get(self._path(field, name)[0]), dict):
            return value.model_dump(by_alias=True, exclude_unset=True)  # an earlier source has some of its fields
        return value

    def _path(self, field: Any, name: str) -> list[str]:
        """The key of a field, or the path of keys: the one that an earlier source has used, else the first one."""
        alias = None if self.config.get("validate_by_alias") is False else field.validation_alias or field.alias
        found = [_keys(one) for one in getattr(alias, "choices", [alias]) if one is not None]
        paths = [path for path in found if path] or [[name]]
        return next((path for path in [*paths, [name]] if path[0] in self.current_state), paths[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self._namespace!r})"  # a URL may have a password in it


def _keys(alias: Any) -> list[str]:
    """The keys of an alias; none where it is a place in a list, which one field cannot fill."""
    path = getattr(alias, "path", [alias])
    return path if all(isinstance(part, str) for part in path) else []


def _nest(values: dict[str, Any], path: list[str], value: Any) -> None:
    *folders, last = path
    for key in folders:
        values = values.setdefault(key, {})
    values[last] = value
