"""Name → implementation, imported on first use: importing `store` imports no unused codec or engine."""

from __future__ import annotations

from typing import Any

from store.errors import CodecUnavailable
from store.system.late import late


class Registry:
    """Implementations of one contract by name, each given as `"module:attribute"` or as the object itself.

    Safe across threads: entries are only ever added, and loading one twice gives the same object.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, tuple[str | Any, str]] = {}
        self._loaded: dict[str, Any] = {}

    def register(self, name: str, where: str | Any, *, install: str = "") -> None:
        """Make `name` known; `install` is the distribution to install where its import fails."""
        self._entries[name] = (where, install)
        self._loaded.pop(name, None)

    def names(self) -> list[str]:
        """All known names, in the order of their registration."""
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def load(self, name: str) -> Any:
        """The implementation called `name`.

        Raises:
            LookupError: the name is not known; `CodecUnavailable`: its library is not installed.
        """
        try:
            return self._loaded[name]
        except KeyError:
            pass
        where, install = self._entries[name]
        found = _import(self.kind, name, where, install) if isinstance(where, str) else where
        return self._loaded.setdefault(name, found)


def _import(kind: str, name: str, where: str, install: str) -> Any:
    try:
        return late(where, f"the {kind} {name!r}")
    except ImportError as exc:
        remedy = f"install it: pip install {install}" if install else f"cannot import {where.partition(':')[0]}"
        raise CodecUnavailable(f"the {kind} {name!r} is not available: {remedy}", codec=name) from exc
