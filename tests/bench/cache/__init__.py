"""The benchmark of `store.cache.Cache` beside other caches: `python -m tests.bench --only cache`.

    python -m tests.bench --only cache                           100,000 entries, in three minutes
    python -m tests.bench --only cache --quick                   10,000 entries, in a minute
    python -m tests.bench --only cache --scale 100000,1000000    other numbers of entries; a million takes an hour, and 10 GB
    python -m tests.bench --only cache --peers store,diskcache   only some of the peers

It writes `report-cache.md` and `report-cache.svg`; the report of everything else stays as it is. Redis runs as a server of
the benchmark's own on loopback, where `redis-server` and redis-py are installed. What is not installed is named as absent.
Only ratios count: each is taken within one round, against diskcache's `Cache`.

Where to read: `peers` (who takes part, and how), `measures` (single operations), `stampede` (many processes that ask for one
missing entry), `report`, `program`.
"""
