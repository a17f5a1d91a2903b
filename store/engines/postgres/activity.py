"""What programs do with the tables of a location, as the server counts it: the contract `ActivityCounters`."""

from __future__ import annotations

from store.engines.activity import Activity
from store.engines.postgres.handle import Handle


class PostgresActivity:
    """The server's own statistics, of all its clients, since it began them. It adds to them seconds late.

    A page of a listing counts as one read, and a write that replaces a record as one too.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        # https://www.postgresql.org/docs/current/monitoring-stats.html: a read is one look into an index, or one pass
        # over the table. Rows would be the wrong figure: a count, and `store top` itself, go over all of them.
        # Locks are those of the whole database: it does not tell which store an advisory lock is of.
        self._statement = (
            "SELECT s.read, s.written, (SELECT count(*) FROM pg_locks WHERE NOT granted AND "
            "(database IS NULL OR database = (SELECT oid FROM pg_database WHERE datname = current_database()))) "
            "FROM (SELECT coalesce(idx_scan, 0) + seq_scan AS read, "
            "n_tup_ins + n_tup_upd + n_tup_del AS written FROM pg_stat_all_tables WHERE relid = $1::regclass) s"
        )
        self._table = handle.sessions.location.table("records")

    def begin(self) -> None:
        """Does nothing: the server always counts."""

    def figures(self) -> Activity:
        found = self._handle.one(self._statement, (self._table,))
        if found is None:  # the statistics are new, and nothing was counted yet
            return Activity()
        reads, writes, waiting = map(int, found)
        return Activity(reads=reads, writes=writes, waiting=waiting)
