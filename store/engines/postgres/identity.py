"""The condition by which each statement finds out that its store was destroyed and another one made in its place.

A handle keeps the id that it was opened with, and seals cover that id: what it wrote into another store would be
tampered there for ever, and what it read would look damaged. A statement locks all its tables before it reads any, so
none of them can be replaced between the comparison and the write.
"""

from __future__ import annotations

from typing import NamedTuple

from store.engines.postgres.location import Location

ANOTHER_STORE = "2201E"
"""The SQLSTATE of the error where the condition does not hold: the logarithm of 0. Nothing else takes a logarithm."""
ANY_STORE = "true"
"""The condition of a statement that runs before the id is known, or that may see any store."""


class Identity(NamedTuple):
    """What tells a store from all others, and its tables from those that are made in their place."""

    id: bytes
    version: int
    table: int
    """The number of the table that the id is in, which the server gives to one table only."""


def same_store(location: Location, identity: Identity) -> str:
    """A condition for a WHERE: it is true, or fails with `ANOTHER_STORE`.

    The number of the table is compared when the statement is planned, and prepared statements are planned again once
    a table was dropped: it costs nothing (a comparison of the id each time took a sixth of a short read). Only where
    the number is another one, the id is compared: a store that was moved by a dump keeps it.
    """
    table = location.table("identity")
    # `decode`, since a literal would depend on standard_conforming_strings.
    is_id = f"(SELECT ln(count(*)::float8) FROM {table} WHERE id = decode('{identity.id.hex()}', 'hex')) = 0"
    return f"('{table}'::regclass = {identity.table}::oid OR {is_id})"
