"""All promises, in the order of the table."""

from __future__ import annotations

from .backups import BACKUP, RESTORE
from .bounded_cache import BOUNDED_CACHE
from .care import CARE
from .damage import DAMAGE
from .failover import FAILOVER
from .faults import FAILING_CALLS, LIMITS
from .histories import LINEARIZABLE
from .interrupts import INTERRUPTS
from .kills import KILLS
from .migrations import MIGRATIONS
from .model import MODEL
from .nesting import NESTING
from .power import FULL, NORMAL
from .races import NETWORK, WAL_RESET
from .redis_failover import REDIS_FAILOVER
from .staleness import STALENESS
from .trial import Promise

PROMISES: tuple[Promise, ...] = (
    KILLS,
    FULL,
    NORMAL,
    FAILING_CALLS,
    LIMITS,
    DAMAGE,
    LINEARIZABLE,
    STALENESS,
    NESTING,
    INTERRUPTS,
    WAL_RESET,
    NETWORK,
    BACKUP,
    RESTORE,
    CARE,
    MIGRATIONS,
    MODEL,
    FAILOVER,
    BOUNDED_CACHE,
    REDIS_FAILOVER,
)
