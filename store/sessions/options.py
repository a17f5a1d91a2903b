"""The lifetimes that `Sessions` is called with."""

from __future__ import annotations

from typing import Final

from store.codecs import CodecChoice
from store.opened.arguments import check_ttl
from store.opened.options import OpeningOptions
from store.opened.sentinels import Sentinel


class Lifetime(Sentinel):
    """The lifetime that is no number of seconds."""

    FOREVER = "for ever"


FOREVER: Final = Lifetime.FOREVER


class SessionsOptions(OpeningOptions, total=False):
    """All options of `Sessions`, for `**options: Unpack[SessionsOptions]` of a layer above."""

    namespace: str
    ttl: float | Lifetime
    codec: CodecChoice
    group: str | int | None
    shards: int


def check_lifetime(ttl: float | Lifetime) -> float | None:
    """The seconds of a lifetime, None for ever. Raises: TypeError, ValueError: it does not say how long."""
    if ttl is None:
        raise TypeError(
            "ttl=None would be for ever to some and the default to others: leave it out for the default, or pass "
            "store.sessions.FOREVER for a session that never expires"
        )
    return None if isinstance(ttl, Lifetime) else check_ttl(ttl)
