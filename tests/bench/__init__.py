"""The benchmark: this store beside raw SQLite and what else people keep Python objects in.

    pip install -e '.[bench]'
    python -m tests.bench --quick                    under two minutes
    python -m tests.bench                            the full run, which writes report.md and report.svg of this folder
    python -m tests.bench --only get,set             single measures, to tune by; --help has their names
    python -m tests.bench --only get --peers store,raw --rounds 21
    python -m tests.bench --scale 1000,1000000       how it grows; 10000000 too, where there is 10 GB of disk

One file per kind of measure (operations, arrays, contention, scale, cold_start), one per peer (peers/). A peer that
is not installed is named as absent. Only ratios count: each is taken within one round, against raw SQLite.
"""
