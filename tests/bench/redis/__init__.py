"""The benchmark of the engine on Redis: `python -m tests.bench --engine redis`.

    python -m tests.bench --engine redis                         one node and a cluster of six, 1 and 8 clients
    python -m tests.bench --engine redis --quick                 1,000 records, in two minutes
    python -m tests.bench --engine redis --scale 1000,1000000    other numbers of records on one node
    python -m tests.bench --engine redis --peers store,bare      only some of the peers

It starts servers of its own on loopback, and writes `report-redis.md` and `report-redis.svg`. What is not installed is
named as absent. Only ratios count: each is taken within one round, against redis-py alone with the same commands.
"""
