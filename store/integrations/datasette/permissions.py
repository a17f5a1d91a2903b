"""Permission to see the records of a store: that to see the table which they are in."""

from __future__ import annotations

from typing import Any

RECORDS = "records"
"""The table of the records."""


async def may_see(datasette: Any, actor: Any, database: str) -> bool:
    """Whether Datasette would show the table `records` of that database to `actor`."""
    if hasattr(datasette, "allowed"):  # 1.0
        from datasette.resources import TableResource

        resource = TableResource(database=database, table=RECORDS)
        return bool(await datasette.allowed(action="view-table", resource=resource, actor=actor))
    permissions = [("view-table", (database, RECORDS)), ("view-database", database), "view-instance"]
    visible, _ = await datasette.check_visibility(actor, permissions=permissions)
    return bool(visible)
