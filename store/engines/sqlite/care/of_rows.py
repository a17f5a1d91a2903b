"""A backup of a store that is not a file: writes its rows to a temporary store, and backs that up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

from store.engines.sqlite.care.backup import backup
from store.engines.sqlite.care.copy import Copied
from store.engines.sqlite.care.progress import Progress
from store.engines.sqlite.care.rebuild import rebuilt
from store.engines.sqlite.opening.attach import attach, detach
from store.engines.sqlite.spill.copying import Check
from store.rows.row import Row


def backup_of_rows(
    store_id: bytes, rows: Iterable[Row], path: str, check: Check, progress: Progress | None, timeout: float
) -> Copied:
    """The contract `Care.backup`, for a store with that id and those rows."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        source = os.path.join(folder, "store.db")
        with rebuilt(source, store_id, os.stat(folder)) as made:
            for row in rows:
                made.add(row)
        lease = attach(source, mode="w", timeout=timeout)
        try:
            lease.engine.identity(timeout)  # compared with that of the existing backup
            return backup(lease.engine, path, check, progress, timeout)
        finally:
            detach(lease)
