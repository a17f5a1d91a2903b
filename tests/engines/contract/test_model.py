"""Any history of changes, in transactions and out of them, against a dict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sealed_rows import NOW, all_of, row

from store.engines.contract import ABSENT, ANY, Delete, Engine, Fields, Order, Put
from store.engines.optimistic import Optimistic
from store.engines.overlay import Overlay
from store.engines.registry import supported
from store.errors import Conflict, Unsupported
from store.rows.row import Row

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made

NAMES = st.sampled_from(["a", "b", "ab", "abc", "é", "", "z"])
EXPIRIES = st.sampled_from([None, None, NOW + 1, NOW + 2, NOW + 3])
CHANGES = st.one_of(
    st.tuples(st.just("put"), NAMES, EXPIRIES, st.sampled_from(["any", "absent", "same", "other"])),
    st.tuples(st.just("delete"), NAMES, st.none(), st.sampled_from(["any", "same", "other"])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.lists(CHANGES, min_size=1, max_size=4)),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("later"), st.none()),
        st.tuples(st.sampled_from(["begin", "commit", "roll back"]), st.none()),
    ),
    max_size=25,
)


class Model:
    """Rows by name in a dict, whose order is that of insertion."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.now = NOW
        self.bodies = count()

    def changes(self, drawn: list[tuple]) -> list[Put | Delete]:
        """The changes, each expecting what there is as they begin, or something else."""
        made: list[Put | Delete] = []
        for kind, name, expires, expects in drawn:
            before = self.rows.get(name)
            known = {"any": ANY, "absent": ABSENT, "other": "9-00", "same": before.stamp if before else "8-00"}[
                expects
            ]
            new = row(name, b"%d" % next(self.bodies), expires=expires, at=self.now)
            made.append(Put(new, known) if kind == "put" else Delete(name, known))
        return made

    def apply(self, changes: list[Put | Delete]) -> None:
        rows = dict(self.rows)
        for change in changes:
            name = change.row.name if isinstance(change, Put) else change.name
            before = rows.get(name)
            if isinstance(change, Put) and before and before.expires is not None and before.expires <= self.now:
                before = None
            if (change.expect is ABSENT and before) or (
                isinstance(change.expect, str) and (not before or before.stamp != change.expect)
            ):
                raise Conflict
            if isinstance(change, Delete):
                rows.pop(name, None)
            elif before:
                rows[name] = change.row._replace(revision=before.revision + 1, created=before.created)
            else:
                rows.pop(name, None)
                rows[name] = change.row
        self.rows = rows

    def check(self, engine: Engine | Overlay) -> None:
        rows = list(self.rows.values())
        for limit in (1, 3, 256):
            assert [found._replace(id=None) for found in all_of(engine, limit=limit)] == rows
            assert [found._replace(id=None) for found in all_of(engine, limit=limit, reverse=True)] == rows[::-1]
            for prefix in ("", "a", "ab"):
                names = sorted(name for name in self.rows if name.startswith(prefix))
                how = {"limit": limit, "prefix": prefix, "fields": Fields.LISTED}
                assert [item.name for item in all_of(engine, "", Order.NAME, **how)] == names
                assert [item.name for item in all_of(engine, "", Order.NAME, reverse=True, **how)] == names[::-1]
            expiring = sorted(
                found.expires for found in rows if found.expires is not None and found.expires <= self.now
            )
            assert [
                found.expires for found in all_of(engine, "", Order.EXPIRY, until=self.now, limit=limit)
            ] == expiring
        alive = [found for found in rows if found.expires is None or found.expires > self.now]
        until = min((found.expires for found in alive if found.expires is not None), default=float("inf"))
        number, holds_until = engine.count("", self.now)
        assert number == len(alive) and self.now < holds_until <= until  # what was deleted may still bound it
        assert engine.namespaces(self.now) == ([""] if alive else [])
        got = engine.get("", ["a", "b", "no"], Fields.HEADER)
        assert {name: header.stamp for name, header in got.items()} == {
            name: self.rows[name].stamp for name in ("a", "b") if name in self.rows
        }


@contextmanager
def emptied(engine: Engine) -> Iterator[None]:
    """The engine is there for all examples."""
    try:
        yield
    finally:
        engine.clear("")


MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(steps=STEPS)
def test_any_history(engine, steps):
    model, blocks = Model(), []
    with emptied(engine):
        for step, drawn in steps:
            if step == "apply":
                changes = model.changes(drawn)
                try:
                    model.apply(changes)
                except Conflict:
                    with pytest.raises(Conflict):
                        engine.apply("", changes)
                else:
                    engine.apply("", changes)
            elif step == "clear":
                engine.clear("")
                model.rows = {}
            elif step == "later":
                model.now += 1
            elif step == "begin" and engine.transactions is not None:
                block = engine.transactions.begin()
                block.__enter__()
                blocks.append((block, model.rows))
            elif step != "begin" and blocks:
                block, before = blocks.pop()
                error = ZeroDivisionError() if step == "roll back" else None
                block.__exit__(None if error is None else type(error), error, None)
                model.rows = before if error is not None else model.rows
            model.check(engine)
        while blocks:
            blocks.pop()[0].__exit__(None, None, None)
        model.check(engine)


@MANY
@given(first=STEPS, steps=STEPS)
def test_any_optimistic_transaction(engine, first, steps):
    """Its view is the model's at any time, and so is the engine once it is committed."""
    try:
        supported(engine.changes, engine.kind, "changes").version_of("")
    except Unsupported as exc:
        pytest.skip(str(exc))
    model, savepoints = Model(), []
    with emptied(engine):
        for step, drawn in first:
            if step == "apply":
                changes = model.changes([(kind, name, expires, "any") for kind, name, expires, _ in drawn])
                model.apply(changes)
                engine.apply("", changes)
        transaction = Optimistic(engine)
        view = transaction.view
        for step, drawn in steps:
            if step == "apply":
                changes = model.changes(drawn)
                try:
                    model.apply(changes)
                except Conflict:
                    with pytest.raises(Conflict):
                        view.apply("", changes)
                else:
                    view.apply("", changes)
            elif step == "clear":
                view.clear("")
                model.rows = {}
            elif step == "begin":
                savepoints.append((view.savepoint(), model.rows))
            elif step == "roll back" and savepoints:
                savepoint, model.rows = savepoints.pop()
                view.roll_back_to(savepoint)
            elif step == "commit" and savepoints:
                savepoints.pop()
            model.check(view)
        transaction.commit()
        assert {found.name: found.body for found in all_of(engine)} == {
            name: found.body for name, found in model.rows.items()
        }
        assert [found.name for found in all_of(engine)] == list(model.rows)
