"""The benchmark of the engine on PostgreSQL: `python -m tests.bench --engine postgres`.

    python -m tests.bench --engine postgres                          1,000 and 100,000 records, 1, 8 and 32 clients
    python -m tests.bench --engine postgres --quick                  1,000 records, 1 and 8 clients, in two minutes
    python -m tests.bench --engine postgres --scale 1000,1000000     other numbers of records
    python -m tests.bench --engine postgres --peers store,bare       only some of the peers

It starts a server of its own on loopback, with fsync, and writes `report-postgres.md`. What is not installed is named as
absent. Only ratios count: each is taken within one round, against the driver alone with the same statements.
"""
