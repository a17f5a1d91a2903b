"""Transactions that nobody holds open: one of two that touched the same comes to nothing."""

from __future__ import annotations

import pytest
from sealed_rows import NOW, all_of, body, names, row

from store.engines.contract import Delete, Fields, Order
from store.engines.optimistic import Optimistic
from store.errors import Conflict, Unsupported

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


@pytest.fixture
def transaction(engine):
    if engine.changes is None:
        pytest.skip(f"the engine {engine.kind} has no changes")
    try:
        engine.changes.version_of("")
    except Unsupported as exc:
        pytest.skip(str(exc))
    engine.apply("", [row("a"), row("b")])
    engine.put(row("x", namespace="x"))
    return Optimistic(engine)


READS = {
    "get": lambda view: view.get("", ["a"]),
    "a miss": lambda view: view.get("", ["new"]),
    "a scan": lambda view: view.scan("", Order.INSERTED),
    "the end": lambda view: view.end(""),
    "a count": lambda view: view.count("", NOW),
}
WRITES = {
    "another put": lambda engine: engine.put(row("a", b"2")),
    "a delete": lambda engine: engine.apply("", [Delete("a")]),
    "a new one": lambda engine: engine.put(row("new")),
    "one that was not read": lambda engine: engine.put(row("b", b"2")),
    "another namespace": lambda engine: engine.put(row("x", b"2", namespace="x")),
}
GOES_WELL = {
    ("get", "a new one"), ("get", "one that was not read"), ("a miss", "another put"), ("a miss", "a delete"),
    ("a miss", "one that was not read"), *((read, "another namespace") for read in READS),
}  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("read", READS)
def test_what_was_read_must_not_have_changed(engine, transaction, read, write):
    READS[read](transaction.view)
    transaction.view.apply("", [row("mine")])
    WRITES[write](engine)
    before = all_of(engine, None)
    if (read, write) in GOES_WELL:
        transaction.commit()
        assert body(engine, "mine") == b"1"
    else:
        with pytest.raises(Conflict):
            transaction.commit()
        assert all_of(engine, None) == before


def test_nothing_is_seen_of_it_before_it_is_committed(engine, transaction):
    view = transaction.view
    view.apply("", [row("c"), Delete("a"), row("b", b"2")])
    assert [item.name for item in view.scan("", Order.INSERTED, fields=Fields.LISTED).items] == ["b", "c"]
    assert names(engine) == ["a", "b"] and body(engine, "b") == b"1"
    transaction.commit()
    assert names(engine) == ["b", "c"] and engine.get("", ["b"])["b"].revision == 2


def test_one_that_writes_nothing_is_never_in_conflict(engine, transaction):
    transaction.view.scan("", Order.NAME)
    engine.clear("")
    transaction.commit()


def test_deletion_of_a_record_that_another_deleted_meanwhile_is_in_conflict(engine, transaction):
    (row,) = transaction.view.scan("", Order.INSERTED, limit=1).items
    engine.apply("", [Delete(row.name)])
    assert transaction.view.apply("", [Delete(row.name)]).deleted == 0
    with pytest.raises(Conflict):
        transaction.commit()


def test_one_namespace_at_a_time(engine, transaction):
    transaction.view.apply("", [row("a", b"2")])
    transaction.view.apply("x", [Delete("x")])
    with pytest.raises(Unsupported, match="several namespaces"):
        transaction.commit()
    assert body(engine, "a") == b"1"


def test_savepoints(engine, transaction):
    view = transaction.view
    view.apply("", [row("c")])
    first = view.savepoint()
    view.apply("", [row("c", b"2"), Delete("a")])
    second = view.savepoint()
    view.clear("")
    view.roll_back_to(second)
    assert sorted(view.get("", ["a", "b", "c"])) == ["b", "c"] and view.get("", ["c"])["c"].body == b"2"
    view.roll_back_to(first)
    transaction.commit()
    assert names(engine) == ["a", "b", "c"] and body(engine, "c") == b"1"


def test_one_deleted_and_written_anew_comes_at_the_end(engine, transaction):
    transaction.view.apply("", [Delete("a"), row("a", b"2")])
    transaction.commit()
    assert names(engine) == ["b", "a"] and engine.get("", ["a"])["a"].revision == 1


def test_record_that_is_read_again_is_the_same(engine, transaction):
    (first,) = transaction.view.get("", ["a"]).values()
    assert transaction.view.get("", ["new"]) == {}
    engine.apply("", [row("a", b"2"), row("new")])
    assert transaction.view.get("", ["a", "new"]) == {"a": first}
    transaction.view.apply("", [row("mine")])
    with pytest.raises(Conflict) as caught:
        transaction.commit()
    assert transaction.overtaken() is caught.value


def test_record_that_is_not_kept_and_was_changed_is_a_conflict_when_it_is_read_again(engine, transaction, monkeypatch):
    monkeypatch.setattr("store.engines.optimistic.KEPT_BYTES", 500)  # room for one of them
    transaction = Optimistic(engine)
    first = transaction.view.get("", ["a", "b"])
    assert transaction.view.get("", ["a", "b"]) == first and transaction.overtaken is None
    engine.apply("", [row("a", b"2"), row("b", b"2")])
    assert transaction.view.get("", ["a"]) == {"a": first["a"]}
    with pytest.raises(Conflict, match="was changed by another writer since this transaction read it") as caught:
        transaction.view.get("", ["b"], Fields.MARK)
    assert transaction.overtaken() is caught.value


def test_records_that_were_read_before_it_began_are_expected_too(engine, transaction):
    transaction.saw("", {"a": engine.get("", ["a"])["a"], "new": None})
    engine.put(row("new"))
    transaction.view.apply("", [row("mine")])
    with pytest.raises(Conflict):
        transaction.commit()
    assert "mine" not in names(engine)
