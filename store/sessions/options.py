"""What `Sessions` is called with: lifetimes, and options of the store that it opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Literal, TypedDict

from store.classes.lookup import Renames
from store.opened.arguments import check_ttl
from store.opened.options import OnUnreadable
from store.system.rights import Rights
from store.trust.keys.ring import KeySource


class Lifetime(Enum):
    """Lifetimes that are no number of seconds."""

    FOREVER = "for ever"
    UNSET = "left out"

    def __repr__(self) -> str:
        return self.name


FOREVER: Literal[Lifetime.FOREVER] = Lifetime.FOREVER
UNSET: Literal[Lifetime.UNSET] = Lifetime.UNSET


def check_lifetime(ttl: float | Lifetime) -> float | None:
    """The seconds of a lifetime, None for ever. Raises: TypeError, ValueError: it does not say how long."""
    if ttl is None:
        raise TypeError(
            "ttl=None would be for ever to some and the default to others: leave it out for the default, or pass "
            "store.sessions.FOREVER for a session that never expires"
        )
    return None if ttl is FOREVER else check_ttl(ttl)  # type: ignore[arg-type]  # UNSET is no number: a TypeError


class StoreOptions(TypedDict, total=False):
    """The options of `Store` that `Sessions` passes on."""

    protocol: int | None
    mode: Literal["r", "w", "c", "n"]
    trust: Literal["own", "data", "all"]
    allow: Iterable[type | str]
    renames: Renames | None
    on_missing: Literal["raise", "placeholder"]
    key: KeySource
    on_unreadable: Literal["raise", "skip"] | OnUnreadable
    durability: Literal["normal", "full"]
    timeout: float
    cache_bytes: int
    spill_bytes: int
    mmap: bool
    verify_buffers: bool
    verify_writes: bool
    clock: Callable[[], float]
    rights: Rights | None
