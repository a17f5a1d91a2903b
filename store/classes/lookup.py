"""Finds the classes that a record names: under new names after a move, or as placeholders if they are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.classes.dotted import imported

Renames = Mapping[str, "str | type"]
MAX_NAME = 1000
"""Characters of a dotted name; looking for a longer one would take quadratic time."""


class Lookup:
    """The settings of a store for classes that moved. Immutable, hence safe across threads.

    Args:
        renames: old dotted name → new dotted name, or the class itself. The name of a module or class also applies to
            everything in it, and the longest match wins; repeated moves are followed.
        placeholders: whether missing classes and functions are replaced by placeholders.
        other_pythons: whether missing names are looked up under the names that other Pythons use. This requires an
            unpickler in Python; the other two arguments imply it.

    Raises:
        TypeError: `renames` is not a mapping of names. ValueError: a name is invalid, or the renames form a circle.
    """

    def __init__(
        self, renames: Renames | None = None, *, placeholders: bool = False, other_pythons: bool = False
    ) -> None:
        self.placeholders = placeholders
        self._given = _checked({} if renames is None else renames)
        for old in self._given:
            self._followed(old)
        self.is_plain = not self._given and not placeholders and not other_pythons
        """Whether every name is looked up exactly as written."""

    def renamed(self, module: str, name: str) -> str | None:
        """The new dotted name of a global; None if it was not renamed."""
        if not self._given or len(module) + len(name) >= MAX_NAME:
            return None
        names = self._followed(f"{module}.{name}")
        return names[-1] if len(names) > 1 else None

    def find(self, dotted: str) -> Any:
        """The object with a new name. Raises: ImportError, AttributeError: it does not exist."""
        module, rest = imported(dotted) or (None, "")
        if module is None:
            raise ModuleNotFoundError(f"no part of {dotted!r} is the name of a module")
        found: Any = module
        for part in rest.split("."):
            found = getattr(found, part)
        return found

    def with_placeholders(self) -> Lookup:
        """The same lookup with placeholders for missing names."""
        return Lookup(self._given, placeholders=True)

    def __repr__(self) -> str:
        return f"Lookup({self._given!r}, placeholders={self.placeholders})"

    def _followed(self, dotted: str) -> list[str]:
        """A name, followed by its names after each move. Raises: ValueError: the renames form a circle."""
        names, used = [dotted], set()
        while (old := _fitting(dotted, self._given)) is not None:
            new = self._given[old]
            # If "app" became "app.old", newer records already have the new name.
            if _is_in(new, old) and _is_in(dotted, new):
                break
            dotted = new + dotted[len(old) :]
            if dotted in names or (old in used and not _is_in(old, new)):
                raise ValueError(f"renames go round in a circle: {' → '.join([*names, dotted])}")
            if old in used:  # "app.app.User", if "app.app" became "app"
                break
            used.add(old)
            names.append(dotted)
        return names


def _is_in(dotted: str, outer: str) -> bool:
    return f"{dotted}.".startswith(f"{outer}.")


def _fitting(dotted: str, renames: Mapping[str, str]) -> str | None:
    """The longest of the old names that equals this name or contains it."""
    while dotted not in renames:
        dotted = dotted.rpartition(".")[0]
        if not dotted:
            return None
    return dotted


def _checked(renames: Renames) -> dict[str, str]:
    if not isinstance(renames, Mapping):
        raise TypeError(f'renames is a mapping such as {{"old.module.User": "new.module.User"}}, not {renames!r}')
    found = {}
    for old, target in renames.items():
        new = f"{target.__module__}.{target.__qualname__}" if isinstance(target, type) else target
        for name in (old, new):
            if not isinstance(name, str):
                raise TypeError(f"renames maps dotted names to dotted names or classes, and {name!r} is neither")
            if len(name) > MAX_NAME:
                raise ValueError(f"renames: {name[:100]!r}... has more than {MAX_NAME} characters")
            if not name or not all(name.split(".")):
                raise ValueError(f"renames: {name!r} is not a dotted name such as 'package.module.Class'")
        found[old] = new
    return found


AS_WRITTEN = Lookup()
"""Every name is looked up exactly as written."""
BY_OTHER_PYTHONS = Lookup(other_pythons=True)
"""Names are looked up as written, then under the names that other Pythons use."""
