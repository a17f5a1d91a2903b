"""The names of diskcache 5.6, on `store`: `import store.compat.diskcache as diskcache` runs a program.

Reading runs no code of others, whatever is in the folder, and a write that returned is there after any crash. What
differs stands in the table of `store/compat/README.md`.
"""

from store.compat.diskcache.cache import Cache
from store.compat.diskcache.decorators import barrier, memoize_stampede, throttle
from store.compat.diskcache.deque import Deque
from store.compat.diskcache.disk import Disk, JSONDisk
from store.compat.diskcache.errors import EmptyDirWarning, Timeout, UnknownFileWarning
from store.compat.diskcache.fanout import FanoutCache
from store.compat.diskcache.index import Index
from store.compat.diskcache.markers import ENOVAL, UNKNOWN
from store.compat.diskcache.recipes import Averager, BoundedSemaphore, Lock, RLock
from store.compat.diskcache.settings import DEFAULT_SETTINGS, EVICTION_POLICY

__version__ = "5.6.3"  # of diskcache, whose names these are

__all__ = [
    "Averager",
    "BoundedSemaphore",
    "Cache",
    "DEFAULT_SETTINGS",
    "Deque",
    "Disk",
    "ENOVAL",
    "EVICTION_POLICY",
    "EmptyDirWarning",
    "FanoutCache",
    "Index",
    "JSONDisk",
    "Lock",
    "RLock",
    "Timeout",
    "UNKNOWN",
    "UnknownFileWarning",
    "barrier",
    "memoize_stampede",
    "throttle",
]
