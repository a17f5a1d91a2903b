"""The lifetimes that `Sessions` is called with."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from store.opened.arguments import check_ttl


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
