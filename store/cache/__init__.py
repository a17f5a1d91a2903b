"""`Cache`: a bounded mapping on disk that many processes share.

    from store.cache import Cache

    with Cache("cache.db", max_bytes=2**30, ttl=3600) as cache:
        cache.set("user:1", {"name": "ann"}, ttl=60, tag="users")
        cache.get("user:2")                                   None: there is none
        cache.get_or_compute("report", make_report, ttl=600)  computed once for all processes
        cache.evict("users")                                  1: how many records had that tag

`store/cache/README.md` says which records go when the cache is full, what is counted, and what a hit costs.
"""

from store.cache.cache import Cache
from store.cache.figures import CacheStats
from store.cache.options import CacheOptions, Policy

__all__ = ["Cache", "CacheOptions", "CacheStats", "Policy"]
