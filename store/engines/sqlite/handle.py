"""One handle on a database file, shared by its engine and its capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.engines.capabilities import WHOLE, Scope
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.coherence import Touched
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import fetch_all, fetch_one
from store.engines.sqlite.opening.attach import Lease, detach
from store.engines.transaction import HeldTransaction
from store.errors import ReadOnly, StoreClosed


class Handle:
    """Runs statements on the engine of a file until the handle is closed."""

    def __init__(self, lease: Lease, location: str, *, read_only: bool, timeout: float) -> None:
        self.location = location
        self.read_only = read_only
        self.timeout = timeout
        self.engine: Engine = lease.engine
        self.id = self.engine.identity(timeout)
        self._lease = lease

    def one(self, statement: str, values: Sequence[Any]) -> Any:
        """The first row, or None."""
        return self.engine.read(statement, values, fetch_one, 0.0, self.timeout)

    def all(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows."""
        return self.engine.read(statement, values, fetch_all, 0.0, self.timeout)

    def of_names(self, statement: str, namespace: str, names: Sequence[str]) -> list[Any]:
        """Run a statement for each MANY names; several of them in one snapshot."""
        if len(names) <= sql.MANY:
            return self.all(statement.format(", ".join("?" * len(names))), (namespace, *names))
        parts = [names[start : start + sql.MANY] for start in range(0, len(names), sql.MANY)]
        statements = [(statement.format(", ".join("?" * len(part))), (namespace, *part)) for part in parts]
        return self.engine.read_together(statements, 0.0, self.timeout)

    def write(self, statement: str, values: Sequence[Any], touched: Touched, size: int = 0) -> int:
        """Run a statement that writes; returns how many rows it changed."""
        self.check_writable()
        return self.engine.write(statement, values, touched, size, self.timeout)[0]

    def transaction(
        self, timeout: float | None = None, *, block: bool = False, scope: Scope = WHOLE
    ) -> HeldTransaction:
        """A transaction, which excludes every other writer of the file, whatever its scope."""
        self.check_writable()
        return self.engine.transaction(self.timeout if timeout is None else timeout, block=block)

    def check_writable(self) -> None:
        """Raises: ReadOnly."""
        if self.read_only:
            raise ReadOnly(
                f'{self.location} was opened with mode="r"; open it with mode="w" to write', path=self.location
            )

    def close(self) -> None:
        """Release the engine; a second call does nothing."""
        if not isinstance(self.engine, _Closed):
            self.engine = _Closed(self.location)  # type: ignore[assignment]
            detach(self._lease)


class _Closed:
    """Replaces the engine of a closed handle; any use raises StoreClosed."""

    def __init__(self, location: str) -> None:
        self._location = location

    def __getattr__(self, name: str) -> Any:
        raise StoreClosed(f"the store on {self._location} was closed; open it again")
