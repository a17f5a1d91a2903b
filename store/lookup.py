"""How the classes that a record names are found: under new names, and, where they are gone, as placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.dotted import imported

Renames = Mapping[str, "str | type"]


class Lookup:
    """What a store was told of classes that moved. Immutable, hence safe across threads.

    Args:
        renames: old dotted name → the new one, or the class itself. The name of a module or of a class stands for
            all that is in it as well, and the longest that fits counts; a name that moved twice is followed.
        placeholders: whether what is not there any more is replaced by a placeholder.

    Raises:
        TypeError: `renames` is no mapping of names. ValueError: a name in it is none, or they go round in a circle.
    """

    def __init__(self, renames: Renames | None = None, *, placeholders: bool = False) -> None:
        self.placeholders = placeholders
        self._given = _checked({} if renames is None else renames)
        self._renames = {old: self._followed(old) for old in self._given}
        self.is_plain = not self._renames and not placeholders
        """Whether every name is found as it was written."""

    def renamed(self, module: str, name: str) -> str | None:
        """The new dotted name of a global; None where it keeps its own."""
        return self._step(f"{module}.{name}", self._renames) if self._renames else None

    def find(self, dotted: str) -> Any:
        """The object of a new name. Raises: ImportError, AttributeError: it is not there, either."""
        module, rest = imported(dotted) or (None, "")
        if module is None:
            raise ModuleNotFoundError(f"there is no module of the name {dotted!r} or above it")
        found: Any = module
        for part in rest.split("."):
            found = getattr(found, part)
        return found

    def __repr__(self) -> str:
        return f"Lookup({self._given!r}, placeholders={self.placeholders})"

    def _followed(self, old: str) -> str:
        """Where a name is now, when it moved more than once."""
        left, seen, name = dict(self._given), [old], old
        while (new := self._step(name, left)) is not None:
            if new in seen:
                raise ValueError(f"renames go round in a circle: {' → '.join([*seen, new])}")
            left = {key: value for key, value in left.items() if key != _fitting(name, left)}
            seen.append(new)
            name = new
        return name

    @staticmethod
    def _step(dotted: str, renames: Mapping[str, str]) -> str | None:
        old = _fitting(dotted, renames)
        if old is None:
            return None
        new = renames[old]
        # Where "app" became "app.old", records that were written since have the new name already.
        return None if f"{dotted}.".startswith(f"{new}.") else new + dotted[len(old) :]


def _fitting(dotted: str, renames: Mapping[str, str]) -> str | None:
    """The longest of the old names that is this one, or one that this one is in."""
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
            if not name or not all(name.split(".")):
                raise ValueError(f"renames: {name!r} is no dotted name such as 'package.module.Class'")
        found[old] = new
    return found


AS_WRITTEN = Lookup()
"""Every name is found as it was written."""
