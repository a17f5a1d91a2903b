"""The model test's machine: all rules, with those that damage, check and tidy up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from store.errors import RecordError, StoreError, Untrusted

from .model_handles import OTHER
from .model_rules import Rules
from .model_values import is_plain, names, namespaces, plain_leaves


class StoreAndDict(Rules):
    """Two to four handles on one file, one of them in another process, and a clock of our own."""

    @precondition(lambda self: not self.transactions)
    @rule(namespace=namespaces, name=names, value=plain_leaves, write=st.booleans())
    def another_key(self, namespace: str, name: str, value: Any, write: bool) -> None:
        """The key is another one for a while: plain data reads on, all else is untrusted and stays as it is."""
        self.pick(0)
        with self.store(key=OTHER, namespace=namespace) as s:
            found = self.expected.alive(namespace)
            assert s.names() == sorted(found)
            for known, entry in found.items():
                if entry.damaged:
                    continue
                if entry.foreign or is_plain(entry.value):
                    assert s[known] == entry.value
                else:
                    with pytest.raises(Untrusted):
                        s[known]
                if not entry.foreign:
                    with pytest.raises(Untrusted):
                        s.touch(known, 5)
            if write:
                s[name] = value
                self.expected.assign(namespace, name, value, None, foreign=True)

    @precondition(lambda self: not self.transactions)
    @rule(namespace=namespaces, which=st.integers(0, 10), at=st.integers(0, 1000))
    def damage(self, namespace: str, which: int, at: int) -> None:
        """A byte of a record changes on the disk; of one without a lifetime: of another nobody could tell its end."""
        self.pick(0)
        records = self.expected.alive(namespace)
        found = {name: entry for name, entry in records.items() if not entry.damaged and entry.expires is None}
        if not found:
            return
        name = list(found)[which % len(found)]
        with closing(sqlite3.connect(self.path, isolation_level=None)) as conn:
            place = "WHERE namespace = ? AND name = ?"
            body, spill = conn.execute(f"SELECT body, spill FROM records {place}", (namespace, name)).fetchone()
            if body:
                at %= len(body)
                new = body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :]
                conn.execute(f"UPDATE records SET body = ? {place}", (new, namespace, name))
            else:
                conn.execute(f"UPDATE records SET spill = ? {place}", (spill[:-10] + "x" + spill[-9:], namespace, name))
        self.expected.records[namespace][name] = replace(found[name], damaged=True)

    @precondition(lambda self: not self.transactions)
    @rule()
    def verify(self) -> None:
        """The report says what the model does, of all namespaces, and of what has expired."""
        self.pick(0)
        alive = {
            (namespace, name): entry
            for namespace in self.expected.records
            for name, entry in self.expected.alive(namespace).items()
        }
        both = {**alive, **self.expected.dead}
        report = self.open[0].verify()
        sound = [place for place, entry in alive.items() if not entry.damaged and not entry.foreign]
        gone = [place for place, entry in self.expected.dead.items() if not entry.damaged and not entry.foreign]
        assert len(sound) <= report.sealed <= len(sound) + len(gone)
        assert sorted(report.foreign) == sorted(p for p, e in both.items() if e.foreign and not e.damaged)
        assert sorted(report.tampered) == sorted(p for p, e in both.items() if e.damaged and not e.foreign)
        assert sorted(report.corrupt) == sorted(p for p, e in both.items() if e.damaged and e.foreign)
        damaged = {place for place, entry in both.items() if entry.damaged}
        assert (report.damage, report.orphans) == ([], [])
        assert {(namespace, name) for namespace, name, _ in report.files} <= damaged

    @rule(number=st.integers(0, 3))
    def compact(self, number: int) -> None:
        s, _ = self.pick(number)
        if self.transactions:
            with pytest.raises(StoreError, match="transaction"):
                s.compact()
            return
        s.compact()

    @precondition(lambda self: not self.transactions and self.turn % 4 == 0)  # it costs as much as four other steps
    @rule()
    def backup(self) -> None:
        """A copy holds all that the store does, in every namespace; of a damaged store there is none."""
        self.pick(0)
        copy = self.folder / "copy.db"
        everything = [*self.expected.dead.values()]
        for namespace in self.expected.records:
            everything += self.expected.alive(namespace).values()
        if any(entry.damaged for entry in everything):
            with pytest.raises(RecordError):
                self.open[0].backup(copy)
            return
        self.open[0].backup(copy)
        with self.store(path=copy) as s:
            for namespace in self.expected.records:
                with s.within(namespace) as there:
                    found = self.expected.alive(namespace)
                    assert list(there.items()) == [(name, entry.value) for name, entry in found.items()]
