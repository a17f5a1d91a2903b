"""What a server offers beside PostgreSQL's SQL, asked once when a location is opened.

Servers that speak the protocol may lack a function, or have one that does nothing: for years CockroachDB had an empty
stub as `pg_advisory_lock` (https://github.com/cockroachdb/cockroach/issues/13546). So a server that does not call
itself PostgreSQL has to show that a lock excludes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from store.engines.postgres.errors import DRIVER_ERRORS
from store.errors import Unsupported

_ADVISORY = (
    "pg_advisory_xact_lock(bigint)", "pg_advisory_xact_lock_shared(bigint)", "pg_try_advisory_xact_lock(bigint)",
)  # fmt: skip
_XIDS = ("pg_current_xact_id()", "pg_current_snapshot()", "pg_snapshot_xmin(pg_snapshot)")
_NOTIFY = ("pg_notify(text,text)",)
_HAS = (
    "(SELECT bool_and(coalesce(has_function_privilege(to_regprocedure('pg_catalog.' || f), 'EXECUTE'), false)) "
    "FROM unnest({}::text[]) f)"
)
_ASK = f"SELECT {', '.join(_HAS.format(place) for place in ('$1', '$2', '$3'))}"
_TRY = "SELECT pg_try_advisory_xact_lock($1::bigint)"


class Features(NamedTuple):
    """What the server of a location has, and this role may use."""

    product: str
    """The server's own words."""
    advisory: bool
    """Advisory locks that last for a transaction. Without them, locks are rows of a table."""
    xids: bool
    """Ids of transactions that never wrap, and snapshots of them (PostgreSQL 13). Without them nothing is watched."""
    notify: bool
    """LISTEN and NOTIFY. Without them a watch sees changes at its next poll."""


def detect(conn: Any, connect: Callable[[], Any]) -> Features:
    """Ask the server of a session; `connect` gives another session, which is closed again."""
    product = str(conn.execute("SELECT version()").fetchone()[0])
    is_original = product.startswith("PostgreSQL ") and "-YB-" not in product
    try:
        advisory, xids, notify = conn.execute(_ASK, tuple(map(list, (_ADVISORY, _XIDS, _NOTIFY)))).fetchone()
    except DRIVER_ERRORS:
        if is_original:
            raise
        return Features(product, False, False, False)  # it does not even know how to look a function up
    if not is_original:
        advisory, notify = advisory and _excludes(conn, connect), notify and _listens(conn)
    return Features(product, advisory, xids, notify)


def require_advisory(features: Features, where: str) -> None:
    """Raises: Unsupported: the store uses advisory locks, and this role or server does not have them."""
    if not features.advisory:
        raise Unsupported(
            f"{where} was made for advisory locks, which this role may not use or this server does not have "
            f"({features.product:.60}); grant EXECUTE on {', '.join(_ADVISORY)}, or copy the store to a new one "
            "there",
            engine="postgresql",
            feature="advisory locks",
        )


def _excludes(conn: Any, connect: Callable[[], Any]) -> bool:
    """Whether a lock that one session has keeps out another one."""
    key = int.from_bytes(os.urandom(8), "little", signed=True)
    try:
        with conn.transaction():
            if not conn.execute(_TRY, (key,)).fetchone()[0]:
                return False
            other = connect()
            try:
                return not other.execute(_TRY, (key,)).fetchone()[0]
            finally:
                other.close()
    except DRIVER_ERRORS:
        return False


def _listens(conn: Any) -> bool:
    try:
        conn.execute("LISTEN store_probe")
        conn.execute("UNLISTEN store_probe")
    except DRIVER_ERRORS:
        return False
    return True
