"""The benchmark: this store beside raw SQLite and what else people keep Python objects in.

    pip install -e '.[bench]'
    python -m tests.bench --quick                    under three minutes
    python -m tests.bench                            the full run (25 minutes), which writes report.md and report.svg of this folder
    python -m tests.bench --only get,set             single measures, to tune by; --help has their names
    python -m tests.bench --only mixed --quick       reads and writes of several processes at once, in a minute
    python -m tests.bench --only get --peers store,raw --rounds 21
    python -m tests.bench --scale 1000,1000000       how it grows; 10000000 too, where there is 10 GB of disk
    python -m tests.bench --engine postgres          the engine on PostgreSQL, which writes report-postgres.md
    python -m tests.bench --engine redis             the engine on Redis, which writes report-redis.md and .svg
    python -m tests.bench --only cache               store.cache beside other caches, which writes report-cache.md and .svg
    python -m tests.bench.postgres_turns             writers beside transactions on a PostgreSQL server, in a minute
    python -m tests.bench --notes                    puts the notes of notes.py into report.md, and measures nothing

One file per kind of measure (operations, own_writes, mixed, contention, synced, cold_start, arrays, scale), one per peer
(peers/). `load.py`, `worker.py` and `team.py` run processes on one file. A peer that is not installed is named as absent.
Only ratios count: each is taken within one round, against raw SQLite.
"""
