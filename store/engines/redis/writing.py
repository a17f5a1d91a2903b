"""Writes the rows of the server, outside of any transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import redis

from store.engines.contract import Applied, Change, Check, Delete, Load
from store.engines.polling import Polling
from store.engines.redis.errors import translated
from store.engines.redis.packing import MAX_BYTES, pack
from store.engines.redis.scripts.script import CONFLICT, DAMAGED, LEASED, MAX_RECORDS, NO_SPACE, Script
from store.engines.redis.scripts.writing import APPLY, CLEAR, FREE, RESEAL
from store.engines.redis.server import Server
from store.engines.redis.writing_steps import Steps, encoded, rows_of, steps_of, steps_of_several
from store.errors import Conflict, LockTimeout, OutcomeUnknown, label
from store.rows.row import Row, stamp_of
from store.system import running
from store.system.clock import steady_clock

KEPT_CHANGES = 10_000  # entries of the stream of changes, at least
WRITTEN_KEYS = 7  # of those of a namespace, which APPLY takes


class Writing:
    """Makes changes, one script each. `commit` and `commit_several` return the OutcomeUnknown that others raise."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, row: Row, timeout: float) -> None:
        self._checked(self._apply(steps_of(row.namespace, (row,)), APPLY, b"", timeout)[1])

    def apply(
        self, namespace: str, changes: Sequence[Change | Load], timeout: float, *, stamps: bool = False
    ) -> Applied:
        """As `Engine.apply`."""
        applied, problem = self.commit(namespace, changes, b"", timeout, stamps=stamps)
        self._checked(problem)
        return applied

    def commit(
        self, namespace: str, changes: Sequence[Change | Load], owner: bytes, timeout: float, *, stamps: bool = False
    ) -> tuple[Applied, OutcomeUnknown | None]:
        """Make the changes as the owner of leases; the error, if too few copies have confirmed them."""
        if not changes:
            return Applied(0, []), None
        if _are_all(changes, Row):
            namespace = changes[0].namespace  # type: ignore[union-attr]  # bare rows may be of another one
        frees = _are_all(changes, Delete | Check)
        steps = steps_of(namespace, changes)
        (deleted, *revisions), problem = self._apply(steps, FREE if frees else APPLY, owner, timeout)
        rows = rows_of(changes) if stamps else []
        given = [stamp_of(revision, row.seal) for row, revision in zip(rows, revisions, strict=False)]
        return Applied(deleted, given), problem

    def commit_several(
        self, changes: Mapping[str, Sequence[Change | Load]], owner: bytes, timeout: float
    ) -> OutcomeUnknown | None:
        """Make changes of several namespaces in one slot, as `commit` does."""
        frees = all(_are_all(some, Delete | Check) for some in changes.values())
        return self._apply(steps_of_several(changes), FREE if frees else APPLY, owner, timeout)[1]

    def load(self, rows: Sequence[Row], timeout: float) -> None:
        """As `Engine.load`, in steps of so many rows and bytes as a script takes."""
        for namespace, group in groupby(rows, lambda row: row.namespace):
            batch: list[Change | Load] = []
            size = 0
            for row in group:
                packed = len(pack(row))
                if batch and (len(batch) == MAX_RECORDS or size + packed > MAX_BYTES):
                    self.apply(namespace, batch, timeout)
                    batch, size = [], 0
                batch.append(Load(row))
                size += packed
            if batch:
                self.apply(namespace, batch, timeout)

    def reseal(self, row: Row, before: bytes, timeout: float) -> bool:
        """As `Care.reseal`."""
        steps = Steps((row.namespace,), [RESEAL, encoded(row.name), before, pack(row), b""])
        try:
            self._checked(self._apply(steps, APPLY, b"", timeout)[1])
        except Conflict:
            return False
        return True

    def clear(self, namespace: str, owner: bytes, timeout: float) -> None:
        server = self._server
        token = server.client.token()
        start = self._start()
        _, problem = self._patiently(
            Steps((namespace,), []),
            server.keys(namespace),
            timeout,
            CLEAR,
            lambda is_again: (server.id, owner, token, start if is_again else b""),
        )
        self._checked(problem)

    def _apply(self, steps: Steps, script: Script, owner: bytes, timeout: float) -> tuple[Any, OutcomeUnknown | None]:
        server = self._server
        token = server.client.token()
        start = self._start()
        keys = tuple(key for namespace in steps.namespaces for key in server.keys(namespace)[:WRITTEN_KEYS])
        return self._patiently(
            steps, keys, timeout, script,
            lambda is_again: [server.id, owner, token, start if is_again else b"", KEPT_CHANGES, *steps.arguments],
        )  # fmt: skip

    def _start(self) -> bytes:
        """A time of the server before any attempt that follows."""
        return b"%d" % (self._server.now() - 1)

    def _patiently(
        self, steps: Steps, keys: tuple[bytes, ...], timeout: float, script: Script, arguments: Any
    ) -> tuple[Any, OutcomeUnknown | None]:
        """Run a script that writes, again until the timeout while another client edits one of the records."""
        server, polling, end = self._server, Polling(), steady_clock() + timeout
        confirm = server.confirm
        once = _Once(arguments)
        while True:
            try:
                found = server.run(
                    script, keys, once.arguments, server.deadline(timeout), confirm and confirm.commands
                )
                return (found, None) if confirm is None else (found[0], confirm.missing(found[1:], server.shown))
            except redis.ResponseError as exc:
                text = str(exc)
                if text.startswith(NO_SPACE):
                    server.make_space(steps.missing(text))
                    continue
                if text.startswith(DAMAGED):
                    raise steps.damaged(text, server.keys, server.shown) from None
                if text.startswith(CONFLICT):
                    raise steps.conflict(text) from None
                if not text.startswith(LEASED):
                    raise translated(exc, server.shown) from exc
                left = end - steady_clock()
                if left <= 0:
                    raise leased(*steps.leased(text), timeout, server.shown) from None
            running.sleep(polling.next(left))

    @staticmethod
    def _checked(problem: OutcomeUnknown | None) -> None:
        if problem is not None:
            raise problem


class _Once:
    """The arguments of a script for one write. Once an answer was lost, all attempts look for their token."""

    def __init__(self, make: Callable[[bool], Sequence[Any]]) -> None:
        self._make = make
        self._is_again = False

    def arguments(self, is_again: bool) -> Sequence[Any]:
        self._is_again = self._is_again or is_again
        return self._make(self._is_again)


def leased(name: str | None, namespace: str, timeout: float, where: str) -> LockTimeout:
    """The error for a record that another client has been editing for too long."""
    what = f"a record of the namespace {namespace!r}" if name is None else label(name, namespace)
    return LockTimeout(
        f"another writer has been editing {what} for {timeout:g} seconds; try again, or open the store with a longer "
        "timeout",
        path=where,
    )


def _are_all(changes: Sequence[Any], kind: Any) -> bool:
    # A loop, since an interrupt at the end of a generator is lost.
    for change in changes:  # noqa: SIM110
        if not isinstance(change, kind):
            return False
    return True
