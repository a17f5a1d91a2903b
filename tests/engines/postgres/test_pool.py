"""The pool of connections, with connections that go nowhere."""

from __future__ import annotations

from interrupting import Interrupter, struck

from store.engines.postgres.pool import Pool
from store.system.clock import steady_clock


class Nowhere:
    """A connection."""

    idle_since = 0.0
    closed = False

    def close(self) -> None:
        self.closed = True


def test_interrupt_of_a_caller_that_connects_keeps_no_place() -> None:
    pool = Pool(lambda deadline: Nowhere(), 1, "nowhere")
    moment, was_struck = 0, True
    while was_struck:
        moment += 1
        was_struck = struck(Interrupter(moment, __name__), lambda: pool.take(steady_clock()))
        conn = pool.take(steady_clock())  # LockTimeout: all of them are in use
        conn.close()
        pool.put_back(conn)
    assert moment > 3
