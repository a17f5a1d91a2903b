"""Whether a write was committed whose connection was lost, and that it is not committed after the answer.

Each write leaves a random token in `changes`, in its own transaction, and the column is unique. The question is an
INSERT of the same token. If the write was committed, that finds its token. If the write is still running, that waits
for its end. Else it stores the token itself: a statement that is still on its way to the server then fails, so "not
committed" stays true and the write may be tried again. This needs neither the process id of the lost session, which a
pooler hides, nor `pg_xact_status`: a standby that was promoted may give the same transaction id to another writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from store.engines.postgres.statements import Statements

Noted = Sequence[tuple[str, str | None, int | None]]
"""Namespace, name and revision of what a committed write has changed."""


def noted_by(conn: Any, statements: Statements, token: UUID, namespaces: Sequence[str]) -> Noted | None:
    """What the write of that token has changed; None: it was not committed, and never will be.

    A committed write is also on the standbys that the session waits for, although its own wait was cut short.
    """
    if conn.execute(statements.fence, (token,)).fetchone() is not None:
        return None
    if conn.execute(statements.is_fence, (token,)).fetchone()[0]:  # an earlier attempt to ask has stored it
        return None
    conn.execute(
        statements.fence, (uuid4(),)
    )  # this commit waits for the standbys, and comes after that of the write
    found: Noted = conn.execute(statements.noted_by, (token, list(namespaces))).fetchall()
    return found
