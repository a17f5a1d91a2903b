"""Full decoding with renamed classes: `find_class` of an unpickler with the `renames` of a store."""

from __future__ import annotations

import copyreg
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from contextlib import suppress
from typing import Any

from store.classes.lookup import Lookup
from store.classes.moved import other_names
from store.classes.placeholder import Origin, Placeholder, reconstruct


class RenamingUnpickler:
    """A mixin for an unpickler class that resolves names with a `Lookup`."""

    lookup: Lookup
    origin: Origin

    named: dict[int, tuple[Any, str, str]]

    def look_up(self, lookup: Lookup, origin: Origin) -> None:
        """Set the lookup for names, and the origin that placeholders get."""
        self.lookup, self.origin = lookup, origin
        self.named = {}  # id → (a found object, which prevents reuse of its id; its written name)

    def find_class(self, module: str, name: str, /) -> Any:
        """The global, under its new name if it has one; a placeholder if it is missing and `lookup` asks for one."""
        found = self._found(module, name)
        if found is getattr and (self.lookup.placeholders or self.origin.protocol < 4):
            return self._attribute
        if self.lookup.placeholders and found is _RECONSTRUCTOR:
            return reconstruct
        self.named[id(found)] = found, module, name
        return found

    def _found(self, module: str, name: str) -> Any:
        new = renamed(self.lookup, module, name)
        try:
            if new is not None:
                sys.audit("pickle.find_class", module, name)
                return self.lookup.find(new)
            return super().find_class(module, name)  # type: ignore[misc]
        except (ImportError, AttributeError):
            written = in_python_3(module, name) if self.origin.protocol < 3 else (module, name)
            for other in other_names(*written):
                with suppress(ImportError, AttributeError):
                    return super().find_class(*other)  # type: ignore[misc]
            if not self.lookup.placeholders:
                raise
            # The written name: a new name does not show where its module ends.
            return self.origin.stand_in(*written)

    def _attribute(self, owner: Any, name: str) -> Any:
        """`getattr`: protocols below 4 name nested classes with it, and these may have moved."""
        _, module, outer = self.named.get(id(owner), (None, "", ""))
        if outer and renamed(self.lookup, module, f"{outer}.{name}") is not None:
            return self.find_class(module, f"{outer}.{name}")
        if isinstance(owner, Placeholder):  # a method of an object whose class is missing
            return self.origin.stand_in("builtins", "getattr")(owner, name)
        found = getattr(owner, name)
        if outer:
            self.named[id(found)] = found, module, f"{outer}.{name}"
        return found


def renamed(lookup: Lookup, module: str, name: str) -> str | None:
    """The new name of a global, looked up by its written name and then by its Python 3 name."""
    new = lookup.renamed(module, name)
    if new is None and (module in IMPORT_MAPPING or (module, name) in NAME_MAPPING):
        new = lookup.renamed(*in_python_3(module, name))
    return new


def in_python_3(module: str, name: str) -> tuple[str, str]:
    """The Python 3 name of a global that a protocol below 3 wrote with its Python 2 name (`fix_imports`)."""
    return NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))


_RECONSTRUCTOR = copyreg._reconstructor  # type: ignore[attr-defined]
