"""Where settings are: the store that is opened, the folder of a program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from store.errors import NotSerializable, StorageError
from store.mapping.store import Store
from store.opened.edits import step
from store.settings.containers import near_miss
from store.settings.fields import Schema

NAMESPACE = "settings"
OPTIONS = ("mode", "trust", "key", "durability", "timeout")
_A_WHILE = 3600.0  # seconds: a ttl of the store that was given may be over before it is taken away


def put_plain(store: Store[Any], name: str, plain: Any) -> None:
    """Stores plain data for ever: as JSON where that holds it, else as a pickle that restraint reads."""
    first = None if store.opened.options.ttl is None else _A_WHILE
    with step(store):
        try:
            record = store.put(name, plain, codec="json", ttl=first)
        except NotSerializable:
            record = store.put(name, plain, codec="pickle", ttl=first)
        if record.expires is not None:  # the store that was given has a ttl, which is not for settings
            store.touch(name, None)


def config_file(app: str) -> Path:
    """Where the settings of a program are kept; makes the folder. Raises: ValueError, StorageError."""
    if app in ("", ".", "..") or any(char in app for char in "/\\\0"):
        raise ValueError(f"a program's name is a plain word without slashes, not {app!r}")
    from platformdirs import user_config_path

    try:
        folder = user_config_path(app, appauthor=False)
    except RuntimeError as exc:
        raise StorageError("this user has no home directory for settings; use Settings with a path") from exc
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(
            f"the folder {folder} cannot be made: {exc.strerror}; use Settings with a path",
            errno=exc.errno, path=str(folder),
        ) from exc  # fmt: skip
    return folder / "settings.db"


def opened(location: str | os.PathLike[str] | Store[Any], namespace: str, options: dict[str, Any]) -> Store[Any]:
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"Settings has no option {name!r}{near_miss(name, OPTIONS)}")
    if isinstance(location, Store):
        if options:
            raise TypeError(f"{', '.join(options)} are for a path: the Store that was given is open already")
        if location.opened.writeback is not None:
            raise ValueError(
                "a Store with writeback=True keeps what it has read, and would show stale settings: pass "
                "its path instead"
            )
        return location.within(namespace)
    if options.get("mode") == "n":
        raise ValueError('mode "n" would empty the settings: use reset_all()')
    return Store(location, namespace=namespace, **options)


def usable(schema: Schema, owner: type) -> Schema:
    """The schema. Raises: ValueError: a field has the name of a method of `owner`."""
    for name, field in schema.fields.items():
        if name.startswith("_") or hasattr(owner, name):
            raise ValueError(
                f"{field.where} cannot be a field: Settings has that name for itself; call it e.g. {name.strip('_')}_"
            )
    return schema
