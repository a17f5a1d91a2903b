"""All promises, in the order of the table."""

from __future__ import annotations

from .backups import BACKUP, RESTORE
from .histories import LINEARIZABLE
from .kills import KILLS
from .migrations import MIGRATIONS
from .power import FULL, NORMAL
from .staleness import CACHE
from .trial import Promise

PROMISES: tuple[Promise, ...] = (
    KILLS,
    FULL,
    NORMAL,
    LINEARIZABLE,
    CACHE,
    BACKUP,
    RESTORE,
    MIGRATIONS,
)
