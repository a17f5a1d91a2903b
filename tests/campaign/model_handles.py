"""The handles of the model test: two or three in this process, one in another, in two namespaces."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from store import Record, Store

from .model_expected import Entries, Entry, Expected
from .model_remote import Remote, SecondProcess
from .model_second import look
from .model_values import NAMESPACES, STEP_SECONDS, handles, namespaces, options, ttls, unreadable

KEY, OTHER = b"the key of the model", b"the key of others"
MOST = 4


class Handles(RuleBasedStateMachine):
    """Opens, closes and compares. Time goes on with each step."""

    second: SecondProcess  # of all examples; whoever runs the machine sets it
    empty = b""  # a store without records, made once: its tables take longer than an example's steps

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.path = self.folder / "app.db"
        self.expected = Expected()
        self.count = self.turn = 0
        self.open: list[Store[Any] | Remote] = []
        self.transactions: list[tuple[Any, Any]] = []
        self.remembered: list[tuple[Record, str, Entry]] = []

    def clock(self) -> float:
        return self.expected.now

    def pick(self, number: int) -> tuple[Any, Entries]:
        """One of the handles, and the records that it should see. A transaction of ours would make the other wait."""
        self.expected.now += STEP_SECONDS
        usable = [s for s in self.open if isinstance(s, Store)] if self.transactions else self.open
        s = usable[number % len(usable)]
        return s, self.expected.alive(s.namespace)

    def assign(self, s: Any, name: str, value: Any) -> None:
        """Expect what an assignment by that handle does: the record lives as long as the handle's own `ttl` says."""
        ttl = s.opened.options.ttl if isinstance(s, Store) else s.ttl
        self.expected.assign(s.namespace, name, value, ttl)

    def mark(self) -> str:
        self.count += 1
        return f"#{self.count}"

    # -- opening and closing

    def store(self, path: Path | None = None, **more: Any) -> Store[Any]:
        """In this process. The warning of a key that is not here is expected."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"key": KEY, "clock": self.clock, "timeout": 5, "on_unreadable": unreadable, **more}
            return Store(path or self.path, **options)

    @initialize()
    def open_first(self) -> None:
        if not Handles.empty:
            self.store().close()
            Handles.empty = self.path.read_bytes()
        self.path.write_bytes(Handles.empty)
        self.open.append(self.store())
        self.open.append(self.store(namespace="x"))
        self.open.append(self.second.open(self.clock, self.path, {"key": KEY, "namespace": "", "timeout": 5}))

    @precondition(lambda self: len(self.open) < MOST)
    @rule(namespace=namespaces, ttl=ttls, more=options)
    def open_one(self, namespace: str, ttl: float | None, more: dict[str, Any]) -> None:
        self.open.insert(0, self.store(namespace=namespace, ttl=ttl, **more))

    @precondition(lambda self: len(self.open) < MOST)
    @rule(number=handles, namespace=namespaces)
    def open_within(self, number: int, namespace: str) -> None:
        s, _ = self.pick(number)
        if isinstance(s, Store):
            self.open.insert(0, s.within(namespace))

    @precondition(lambda self: len(self.open) > 3)
    @rule()
    def close_one(self) -> None:
        self.open.pop(0).close()

    @precondition(lambda self: not self.transactions)
    @rule(more=options, far=options, namespace=namespaces)
    def reopen(self, more: dict[str, Any], far: dict[str, Any], namespace: str) -> None:
        """With other options; for a moment nobody has the file open, and the log is folded in."""
        self.close_all()
        self.open.append(self.store(**more))
        self.open.append(self.store(namespace="x", **more))
        far = {"key": KEY, "namespace": namespace, "timeout": 5, **far}
        self.open.append(self.second.open(self.clock, self.path, far))

    def close_all(self) -> None:
        while self.open:
            self.open.pop().close()

    # -- what always holds

    @invariant()
    def all_handles_show_the_model(self) -> None:
        """The other process and one handle here show everything, the others their records."""
        self.turn += 1
        for number, s in enumerate(self.open):
            found, spaces = self.seen_by(s)
            pairs = [(name, entry.shown) for name, entry in found.items()]
            if isinstance(s, Store) and number != self.turn % len(self.open):
                assert list(s.items()) == pairs
                continue
            records = {name: (entry.revision, entry.expires is not None) for name, entry in found.items()}
            shown = s.ask("look") if isinstance(s, Remote) else look(s)
            for got, wanted in zip(shown, (pairs, list(reversed(found)), len(found), records, spaces), strict=True):
                assert got == wanted, (s, got, wanted)

    def seen_by(self, s: Any) -> tuple[Entries, list[str]]:
        """The records of a handle's namespace, and the namespaces that have some."""
        if isinstance(s, Remote) and self.transactions:  # it sees what is committed, and nothing else
            kept = self.transactions[0][1]
            spaces = [space for space in NAMESPACES if self.expected.committed(kept, space)]
            return self.expected.committed(kept, s.namespace), spaces
        return self.expected.alive(s.namespace), [space for space in NAMESPACES if self.expected.alive(space)]

    def teardown(self) -> None:
        while self.transactions:
            self.roll_back()
        if self.open:
            self.all_handles_show_the_model()
        self.close_all()
        if self.path.exists():
            with closing(sqlite3.connect(self.path)) as conn:
                assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        shutil.rmtree(self.folder)

    # -- transactions of this process

    @precondition(lambda self: len(self.transactions) < 3)
    @rule(number=handles)
    def begin(self, number: int) -> None:
        s, _ = self.pick(number)
        if isinstance(s, Remote):
            return
        transaction = s.transaction()
        transaction.__enter__()
        self.transactions.append((transaction, self.expected.copy()))

    @precondition(lambda self: self.transactions)
    @rule()
    def commit(self) -> None:
        transaction, _ = self.transactions.pop()
        transaction.__exit__(None, None, None)

    @precondition(lambda self: self.transactions)
    @rule()
    def roll_back(self) -> None:
        transaction, kept = self.transactions.pop()
        self.expected.restore(kept)
        transaction.__exit__(RuntimeError, RuntimeError(), None)
        self.remembered.clear()  # a record that never was may have the looks of a later one
