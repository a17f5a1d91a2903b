"""What leases a store on Redis has left behind."""

from __future__ import annotations

from store import Store


def check_unleased(s: Store, where: str) -> None:
    """No record is under a lease, once the thread has given back those whose transactions have ended."""
    server = s.opened.engine.handle.server
    server.leases._renew(None)
    key = server.keys(s.opened.name).leases
    left = server.command(key, "HGETALL", key)
    assert left == [], f"a lease was kept after an interrupt at {where}"
