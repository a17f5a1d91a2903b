"""The store of settings: how it is opened, a program's own file, and how plain data is put into it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from store.errors import NotSerializable, StorageError
from store.mapping.store import Store
from store.settings.kinds import near_miss
from store.trust.keys.ring import KeySource

NAMESPACE = "settings"


class SettingsOptions(TypedDict, total=False):
    """The options of `Store` that `Settings` takes."""

    mode: Literal["r", "w", "c"]
    trust: Literal["own", "data", "all"]
    key: KeySource
    durability: Literal["normal", "full"]
    timeout: float


def put_plain(store: Store[Any], name: str, plain: Any) -> None:
    """Stores plain data for ever: as JSON where that holds it, else as a pickle that a restricted decode reads."""
    try:
        store.put(name, plain, codec="json", ttl=None)
    except NotSerializable:
        store.put(name, plain, codec="pickle", ttl=None)


def config_file(app: str) -> Path:
    """Where the settings of a program are kept; makes the folder. Raises: ValueError, StorageError."""
    if app in ("", ".", "..") or any(char in app for char in "/\\\0"):
        raise ValueError(f"a program's name is a plain word without slashes, not {app!r}")
    from platformdirs import user_config_path  # slow to import

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


def opened(location: str | os.PathLike[str] | Store[Any], namespace: str, options: Mapping[str, Any]) -> Store[Any]:
    """The namespace of a store, open. Raises: TypeError, ValueError: a wrong option. StoreError."""
    known = SettingsOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"Settings has no option {name!r}{near_miss(name, known)}")
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
        raise ValueError('mode "n" would empty the settings: use reset_all(prefs)')
    return Store(location, namespace=namespace, **options)
