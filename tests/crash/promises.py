"""All promises, in the order of the table."""

from __future__ import annotations

from .staleness import CACHE
from .trial import Promise

PROMISES: tuple[Promise, ...] = (CACHE,)
