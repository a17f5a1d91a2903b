"""Full decoding under new names: an unpickler's `find_class`, where a store was told of classes that moved."""

from __future__ import annotations

import copyreg
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any

from store.codecs.placeholder import Origin, reconstruct
from store.lookup import Lookup


class Finding:
    """Put before an unpickler class among the bases: its names are looked up as `lookup` says."""

    lookup: Lookup
    origin: Origin

    def look_up(self, lookup: Lookup, origin: Origin) -> None:
        """Set how names are found, and what placeholders will say they came from."""
        self.lookup, self.origin = lookup, origin

    def find_class(self, module: str, name: str, /) -> Any:
        """The global, under its new name where it has one; a placeholder where that is asked for."""
        new = renamed(self.lookup, module, name)
        try:
            if new is not None:
                sys.audit("pickle.find_class", module, name)
                return self.lookup.find(new)
            found = super().find_class(module, name)  # type: ignore[misc]
        except (ImportError, AttributeError):
            if not self.lookup.placeholders:
                raise
            return self.origin.stand_in(*((module, name) if new is None else new.rpartition(".")[::2]))
        if self.lookup.placeholders and found is _RECONSTRUCTOR:
            return reconstruct
        return found


def renamed(lookup: Lookup, module: str, name: str) -> str | None:
    """The new name of a global, by the name it was written under or by what Python 3 calls that."""
    new = lookup.renamed(module, name)
    if new is None and (module in IMPORT_MAPPING or (module, name) in NAME_MAPPING):
        new = lookup.renamed(*in_python_3(module, name))
    return new


def in_python_3(module: str, name: str) -> tuple[str, str]:
    """What Python 3 calls a global that a protocol below 3 names as Python 2 did (`fix_imports`)."""
    return NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))


_RECONSTRUCTOR = copyreg._reconstructor  # type: ignore[attr-defined]
