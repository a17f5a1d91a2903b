"""The statements that lock a namespace or names until a transaction ends: by advisory locks, or by rows.

All clients of a store must lock in the same way, so the store decides it, when it is made: one that is made where
advisory locks are missing has the table `stripes`. A key picks one of its rows, so that two namespaces, or two names,
may share a lock; that costs waiting, never exclusion. Names and namespaces have rows of their own, since a
transaction that shares its namespace locks names for itself. `$1` is the key, or an array of keys.
"""

from __future__ import annotations

from typing import NamedTuple

SPACES, NAMES = 256, 1024  # rows for namespaces, and for names after them; powers of two


class LockStatements(NamedTuple):
    """Each is a SELECT; `shared` and `shared_all` may stand in a WITH of the statement that writes."""

    shared: str
    shared_all: str
    """Several namespaces at once."""
    attempt: str
    """The namespace for itself, without waiting: one row, true or false."""
    exclusive: str
    name: str
    """A name for itself, within a namespace that is shared."""


ADVISORY = LockStatements(
    shared="SELECT pg_advisory_xact_lock_shared($1::bigint)",
    shared_all="SELECT count(pg_advisory_xact_lock_shared(k)) FROM unnest($1::bigint[]) k",
    attempt="SELECT pg_try_advisory_xact_lock($1::bigint)",
    exclusive="SELECT pg_advisory_xact_lock($1::bigint)",
    name="SELECT pg_advisory_xact_lock($1::bigint)",
)


def of_rows(stripes: str) -> LockStatements:
    """The same by rows of a table. Several are locked in order, so that two transactions never wait in a circle."""
    space, name = f"$1::bigint & {SPACES - 1}", f"{SPACES} + ($1::bigint & {NAMES - 1})"
    shared = f"SELECT stripe FROM {stripes} WHERE stripe = {space} FOR SHARE"
    return LockStatements(
        shared=shared,
        shared_all=(
            f"SELECT count(*) FROM (SELECT stripe FROM {stripes} WHERE stripe IN "
            f"(SELECT k & {SPACES - 1} FROM unnest($1::bigint[]) k) ORDER BY stripe FOR SHARE) s"
        ),
        attempt=(
            f"SELECT count(*) = 1 FROM (SELECT stripe FROM {stripes} WHERE stripe = {space} FOR UPDATE SKIP LOCKED) s"
        ),
        exclusive=f"SELECT stripe FROM {stripes} WHERE stripe = {space} FOR UPDATE",
        name=f"SELECT stripe FROM {stripes} WHERE stripe = {name} FOR UPDATE",
    )
