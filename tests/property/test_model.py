"""A store and a dict side by side: any sequence of operations leaves both the same."""

from __future__ import annotations

import copy
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from store import Record, Store
from store.errors import Conflict

NAMESPACES = ("", "x")
DEPTH = 3
STEP_SECONDS = 0.01  # by which the clock goes on with each step

few_names = st.sampled_from(["", "a", "b", "\U0010ffff"])  # so that most steps meet a record
names = few_names | few_names | few_names | st.text(max_size=3)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
)
keys = st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.tuples(st.integers(), st.text(max_size=3))
values = st.recursive(
    leaves | st.sets(keys, max_size=3) | st.frozensets(keys, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.binary(max_size=9).map(bytearray)
    ),
    max_leaves=8,
)
ttls = st.sampled_from([None, 1.5 * STEP_SECONDS, 3.5 * STEP_SECONDS, 100])
limits = st.none() | st.integers(0, 3)
handles = st.integers(0, 3)


@dataclass(frozen=True)
class Entry:
    """A record as the model knows it; `birth` tells it from an earlier one of its name."""

    value: Any
    expires: float | None
    revision: int
    birth: float


def change(value: Any, mark: str) -> bool:
    """Change a value in place so that it becomes another one; False if nothing in it can."""
    match value:
        case list():
            value.append(mark)
        case dict():
            value[mark] = mark
        case set():
            value.add(mark)
        case bytearray():
            value += mark.encode()
        case tuple():
            return any(change(item, mark) for item in value)
        case _:
            return False
    return True


class StoreAndDict(RuleBasedStateMachine):
    """Two to four handles on one file, in two namespaces, one thread, a clock of our own."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.now = 1_800_000_000.0
        self.count = 0
        self.open: list[Store[Any]] = []
        self.model: dict[str, dict[str, Entry]] = {namespace: {} for namespace in NAMESPACES}
        self.transactions: list[tuple[Any, dict[str, dict[str, Entry]]]] = []
        self.remembered: list[tuple[Record, str, Entry]] = []

    # -- the model

    def pick(self, number: int) -> tuple[Store[Any], dict[str, Entry]]:
        """One of the handles, and the records that it should see. Time goes on with each step."""
        self.now += STEP_SECONDS
        s = self.open[number % len(self.open)]
        return s, self.alive(s.namespace)

    def alive(self, namespace: str) -> dict[str, Entry]:
        found = self.model[namespace]
        for name in [name for name, e in found.items() if e.expires is not None and e.expires <= self.now]:
            del found[name]
        return found

    def assign(self, s: Store[Any], name: str, value: Any, ttl: float | None = None) -> None:
        found = self.model[s.namespace]
        old = found.get(name)
        ttl = s._ttl if ttl is None else ttl
        expires = None if ttl is None else self.now + ttl
        value = copy.deepcopy(value)
        if old is None:
            found[name] = Entry(value, expires, 1, self.now)
        else:
            found[name] = Entry(value, expires, old.revision + 1, old.birth)

    # -- one record

    @rule(number=handles, name=names, value=leaves)
    def set(self, number: int, name: str, value: Any) -> None:
        s, _ = self.pick(number)
        s[name] = value
        self.assign(s, name, value)

    @rule(number=handles, name=names, value=values, ttl=ttls)
    def put(self, number: int, name: str, value: Any, ttl: float | None) -> None:
        s, found = self.pick(number)
        record = s.put(name, value, ttl=ttl)
        self.assign(s, name, value, ttl)
        assert record.revision == found[name].revision
        self.remembered.append((record, s.namespace, found[name]))

    @rule(number=handles, name=names, value=values, which=st.integers(0, 100))
    def put_if_unchanged(self, number: int, name: str, value: Any, which: int) -> None:
        s, found = self.pick(number)
        fitting = [known for known in self.remembered if known[1] == s.namespace]
        if not fitting:
            self.put_if_absent(s, found, name, value)
            return
        record, _, entry = fitting[which % len(fitting)]
        now_is = found.get(record.name)
        if now_is is not None and (now_is.birth, now_is.revision) == (entry.birth, entry.revision):
            s.put(record.name, value, if_revision=record)
            self.assign(s, record.name, value)
        else:
            with pytest.raises(Conflict):
                s.put(record.name, value, if_revision=record)

    def put_if_absent(self, s: Store[Any], found: dict[str, Entry], name: str, value: Any) -> None:
        if name in found:
            with pytest.raises(Conflict):
                s.put(name, value, if_revision=0)
        else:
            s.put(name, value, if_revision=0)
            self.assign(s, name, value)

    # One rule for all that removes, else the stores would be empty most of the time.
    @rule(number=handles, name=names, how=st.sampled_from(["del", "pop", "pop", "popitem", "purge", "clear"]))
    def remove(self, number: int, name: str, how: str) -> None:
        s, found = self.pick(number)
        if how == "clear":
            s.clear()
            found.clear()
        elif how == "purge":
            s.purge()
            assert s.purge() == 0
        elif how == "pop":
            entry = found.pop(name, None)
            assert s.pop(name, "default") == (entry.value if entry else "default")
        elif how == "popitem" and found:
            last, entry = found.popitem()
            assert s.popitem() == (last, entry.value)
        elif how == "del" and name in found:
            del s[name], found[name]
        else:
            with pytest.raises(KeyError):
                s.popitem() if how == "popitem" else s.__delitem__(name)

    @rule(number=handles, name=names, value=values)
    def setdefault(self, number: int, name: str, value: Any) -> None:
        s, found = self.pick(number)
        if name not in found:
            self.assign(s, name, value)
        assert s.setdefault(name, value) == found[name].value

    @rule(number=handles, name=names, really=st.booleans(), fail=st.booleans())
    def edit(self, number: int, name: str, really: bool, fail: bool) -> None:
        s, found = self.pick(number)
        mark = self.mark()
        entry = found.get(name)
        new = copy.deepcopy(entry.value) if entry else []
        if not change(new, mark):
            with pytest.raises(TypeError, match="modify"), s.edit(name, default=[]):
                pass
            return
        try:
            with s.edit(name, default=[]) as value:
                if really:
                    change(value, mark)
                if fail:
                    raise RuntimeError
        except RuntimeError:
            return
        if entry is None:
            self.assign(s, name, new if really else [])
        elif really:
            found[name] = replace(entry, value=new, revision=entry.revision + 1)

    @rule(number=handles, name=names)
    def modify(self, number: int, name: str) -> None:
        s, found = self.pick(number)
        entry = found.get(name)
        assert s.modify(name, lambda value: [value], default=0) == [entry.value if entry else 0]
        if entry is None:
            self.assign(s, name, [0])
        else:
            found[name] = replace(entry, value=[entry.value], revision=entry.revision + 1)

    @rule(number=handles, name=names, ttl=ttls)
    def touch(self, number: int, name: str, ttl: float | None) -> None:
        s, found = self.pick(number)
        if name not in found:
            with pytest.raises(KeyError):
                s.touch(name, ttl)
            return
        entry = found[name]
        expires = None if ttl is None else self.now + ttl
        found[name] = replace(entry, expires=expires, revision=entry.revision + 1)
        assert s.touch(name, ttl).revision == found[name].revision

    # -- many

    @rule(number=handles, other=st.dictionaries(names, values, max_size=4), how=st.integers(0, 2))
    def update(self, number: int, other: dict[str, Any], how: int) -> None:
        s, _ = self.pick(number)
        if how == 0:
            s.update(other)
        elif how == 1:
            s.update(iter(other.items()))
        else:
            s |= other
        for name, value in other.items():
            self.assign(s, name, value)

    @rule(number=handles, other=st.dictionaries(names, values, min_size=1, max_size=4))
    def update_that_fails(self, number: int, other: dict[str, Any]) -> None:
        s, _ = self.pick(number)
        with pytest.raises(TypeError):
            s.update({**other, "unserializable": lambda: 0})

    # -- reading; one rule for all, since the invariant below reads after every step

    @rule(
        number=handles, name=names, other=st.dictionaries(names, leaves, max_size=3), after=st.none() | names,
        limit=limits, back=st.booleans(),
    )  # fmt: skip
    def read(
        self, number: int, name: str, other: dict[str, Any], after: str | None, limit: int | None, back: bool
    ) -> None:
        s, found = self.pick(number)
        plain = {name: entry.value for name, entry in found.items()}
        self.read_one(s, plain, name)
        assert list(s.get_many(other).items()) == [(name, plain[name]) for name in other if name in plain]
        matching = [found for found in sorted(plain, reverse=back) if found.startswith(name)]
        if after is not None:
            matching = [found for found in matching if (found < after if back else found > after)]
        assert s.names(name, after, limit, back) == matching[:limit]
        assert s == plain
        assert (s == other) == (plain == other)
        assert list((s | other).items()) == list((plain | other).items())
        assert list((other | s).items()) == list((other | plain).items())
        assert s.keys() & other.keys() == plain.keys() & other.keys()
        assert s.keys() - other.keys() == plain.keys() - other.keys()

    def read_one(self, s: Store[Any], plain: dict[str, Any], name: str) -> None:
        assert (name in s) == (name in plain)
        if name in plain:
            assert s[name] == s.get(name) == plain[name]
            assert type(s[name]) is type(plain[name])
        else:
            with pytest.raises(KeyError):
                s[name]
            assert s.get(name, "default") == "default"

    # -- time, transactions, handles

    @rule(seconds=st.sampled_from([1, 20, 200]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.transactions) < DEPTH)
    @rule(number=handles)
    def begin(self, number: int) -> None:
        s, _ = self.pick(number)
        transaction = s.transaction()
        transaction.__enter__()
        self.transactions.append((transaction, {name: dict(found) for name, found in self.model.items()}))

    @precondition(lambda self: self.transactions)
    @rule()
    def commit(self) -> None:
        transaction, _ = self.transactions.pop()
        transaction.__exit__(None, None, None)

    @precondition(lambda self: self.transactions)
    @rule()
    def roll_back(self) -> None:
        transaction, self.model = self.transactions.pop()
        transaction.__exit__(RuntimeError, RuntimeError(), None)
        self.remembered.clear()  # a record that never was may have the looks of a later one

    @initialize()
    def open_two(self) -> None:
        self.open_one("", None)
        self.open_one("x", None)

    @precondition(lambda self: len(self.open) < 4)
    @rule(namespace=st.sampled_from(NAMESPACES), ttl=ttls)
    def open_one(self, namespace: str, ttl: float | None) -> None:
        path = self.folder / "app.db"
        self.open.append(Store(path, namespace=namespace, ttl=ttl, key=b"model", clock=lambda: self.now, timeout=5))

    @precondition(lambda self: len(self.open) < 4)
    @rule(number=handles, namespace=st.sampled_from(NAMESPACES))
    def open_within(self, number: int, namespace: str) -> None:
        self.open.append(self.pick(number)[0].within(namespace))

    @precondition(lambda self: len(self.open) > 2)
    @rule(number=handles)
    def close_one(self, number: int) -> None:
        self.open.pop(number % len(self.open)).close()

    @precondition(lambda self: not self.transactions)
    @rule()
    def reopen(self) -> None:
        for s in self.open:
            s.close()
        self.open.clear()
        self.open_two()

    # -- what always holds

    @invariant()
    def all_handles_show_the_model(self) -> None:
        for s in self.open:
            found = self.alive(s.namespace)
            assert list(s.items()) == [(name, entry.value) for name, entry in found.items()]
            assert list(reversed(s)) == list(reversed(found))
            assert len(s) == len(found)
            assert {record.name: (record.revision, record.expires is not None) for record in s.records()} == {
                name: (entry.revision, entry.expires is not None) for name, entry in found.items()
            }
            assert s.namespaces() == [namespace for namespace in NAMESPACES if self.alive(namespace)]

    def mark(self) -> str:
        self.count += 1
        return f"#{self.count}"

    def teardown(self) -> None:
        while self.transactions:
            self.roll_back()
        if self.open:
            self.all_handles_show_the_model()
        for s in self.open:
            s.close()
        if (self.folder / "app.db").exists():
            with closing(sqlite3.connect(self.folder / "app.db")) as conn:
                assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        shutil.rmtree(self.folder)


@pytest.mark.timeout(400)  # when it fails, Hypothesis looks for a shorter example for up to five minutes
def test_store_and_dict_stay_the_same() -> None:
    run_state_machine_as_test(
        StoreAndDict,
        settings=settings(
            max_examples=120,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
