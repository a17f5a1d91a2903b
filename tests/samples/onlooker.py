"""Another session on the server of a test: it holds up what the test does, and sees which sessions wait."""

from __future__ import annotations

import asyncio

from postgres_server import PostgresServer


class Onlooker:
    """A session of its own, which holds up others and says what they do.

    It looks at sessions that begin after it: the server may have others, such as those of a pooler, which stay.
    """

    def __init__(self, server: PostgresServer, schema: str) -> None:
        import psycopg

        self.conn = psycopg.connect(server.url, autocommit=True)
        self._holder = psycopg.connect(server.url, autocommit=True)  # a transaction sees one state of the sessions
        rows = self.conn.execute("SELECT array_agg(pid) FROM pg_stat_activity").fetchall()
        self._before: list[int] = rows[0][0]
        self._schema, self._records = f'"{schema}"', f'"{schema}".records'

    @property
    def own(self) -> tuple[int, int]:
        """The processes of the server that work for this object."""
        return self.conn.info.backend_pid, self._holder.info.backend_pid

    def lock(self, how: str = "ACCESS EXCLUSIVE") -> None:
        self._holder.execute("BEGIN")
        self._holder.execute(f"LOCK TABLE {self._records} IN {how} MODE")

    def unlock(self) -> None:
        self._holder.execute("COMMIT")

    def hold_up(self, name: str, *, deferred: bool = False) -> None:
        """From now on a write of that name waits for the advisory lock 42: in its statement, or as it commits."""
        self.conn.execute(
            f"CREATE FUNCTION {self._schema}.hold_up() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$"
        )
        when = "DEFERRABLE INITIALLY DEFERRED" if deferred else ""
        self.conn.execute(
            f"CREATE CONSTRAINT TRIGGER hold_up AFTER INSERT ON {self._records} {when} FOR EACH ROW "
            f"WHEN (NEW.name = '{name}') EXECUTE FUNCTION {self._schema}.hold_up()"
        )

    def close(self) -> None:
        self.conn.close()
        self._holder.close()

    def count(self, condition: str) -> int:
        """How many other sessions there are of that kind."""
        row = self.conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND NOT pid = ANY(%s) "
            f"AND {condition.replace('%', '%%')}",
            [self._before],
        ).fetchone()
        assert row is not None
        return int(row[0])

    async def until(self, number: int, condition: str) -> int:
        """Until there are so many; returns how many turns the loop had meanwhile."""
        ticks = 0
        while self.count(condition) != number:
            await asyncio.sleep(0)
            ticks += 1
        return ticks


WAITING = "wait_event_type = 'Lock'"
