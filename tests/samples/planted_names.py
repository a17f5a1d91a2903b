"""Records of names that a store does not take any more, with a NUL in them, as an older release wrote them to files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store import Store


def plant(s: Store[Any], values: Mapping[str, Any], namespace: str = "") -> None:
    """Write those values under their names, whatever these are; the seals are those of the store."""
    ns = s.opened
    for name, value in values.items():
        row = ns.values.pack(namespace, name, value, ns.clock(), None)
        ns.engine.add_sealer(row.seal[:8])
        ns.engine.put(row)
