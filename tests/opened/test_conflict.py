"""`put(…, if_version=…)`: write only if the record is still the one that was read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from store import ABSENT, Store
from store.errors import Conflict


def refused(s: Store[Any], record: Any) -> Conflict:
    """The Conflict that a write under `record` meets, having changed nothing."""
    before = dict(s), list(s.records())
    with pytest.raises(Conflict) as caught:
        s.put("a", "not to be seen", if_version=record)
    assert (dict(s), list(s.records())) == before
    assert (caught.value.name, caught.value.namespace) == ("a", s.namespace)
    return caught.value


def test_unchanged_record_is_written(s: Store[Any]) -> None:
    record = s.put("a", 1)
    record = s.put("a", 2, if_version=record)
    record = s.put("a", 3, if_version=record)
    assert (s["a"], record.revision) == (3, 3)


def test_record_read_by_other_ways_serves_too(s: Store[Any]) -> None:
    s["a"] = 1
    assert s.put("a", 2, if_version=s.record("a")).revision == 2
    assert s.put("a", 3, if_version=next(s.records())).revision == 3
    assert s.put("a", 4, if_version=s.touch("a", 60)).revision == 5


def test_reads_and_other_records_do_not_count(s: Store[Any]) -> None:
    record = s.put("a", [1])
    s["b"] = 1
    s.setdefault("a", 2)
    s.pop("b")
    with s.edit("a"):
        pass
    assert s.put("a", 2, if_version=record).revision == 2


def test_changed_record_is_a_conflict(s: Store[Any]) -> None:
    record = s.put("a", 1)
    s["a"] = 2
    error = refused(s, record)
    assert "record 'a'" in str(error)
    assert "at revision 2" in str(error)
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("how", ["edit", "modify", "update", "touch"])
def test_every_write_counts(s: Store[Any], how: str) -> None:
    record = s.put("a", [1])
    if how == "edit":
        with s.edit("a") as value:
            value.append(2)
    elif how == "modify":
        s.modify("a", lambda value: value)
    elif how == "update":
        s.update(a=[1])
    else:
        s.touch("a", 60)
    refused(s, record)


def test_deleted_record_is_a_conflict(s: Store[Any]) -> None:
    record = s.put("a", 1)
    del s["a"]
    assert "there is none" in str(refused(s, record))


def test_deleted_and_created_again_with_another_value_is_a_conflict(s: Store[Any]) -> None:
    record = s.put("a", 1)
    del s["a"]
    again = s.put("a", 2)
    assert (again.revision, again.created) == (record.revision, record.created), "these come back: that is the point"
    refused(s, record)


def test_deleted_and_created_again_as_it_was_is_the_same_state(s: Store[Any]) -> None:
    record = s.put("a", 1)
    del s["a"]
    assert s.put("a", 1).version == record.version
    assert s.put("a", 2, if_version=record).revision == 2


@pytest.mark.parametrize("carried", [lambda version: json.loads(json.dumps(version)), str])
def test_version_travels_as_text(s: Store[Any], carried: Any) -> None:
    version = carried(s.put("a", 1).version)
    assert version.isascii() and not set(version) & set('\\", \t\n')  # as an HTTP ETag wants it
    again = s.put("a", 2, if_version=version)
    refused(s, version)
    assert s.put("a", 3, if_version=again.version).revision == 3


def test_every_state_has_a_version_of_its_own(s: Store[Any]) -> None:
    versions = [s.put("a", 1).version, s.put("a", 1).version, s.touch("a", 5).version, s.touch("a", None).version]
    versions += [s.put("b", 1).version, s.put("a", 2).version, s.within("x").put("a", 1).version]
    assert len(set(versions)) == len(versions)


def test_expired_and_created_again_is_a_conflict(s: Store[Any], clock: Any) -> None:
    record = s.put("a", 1, ttl=10)
    clock.advance(11)
    refused(s, record)
    s["a"] = 2
    refused(s, record)


def test_absent_is_for_a_record_that_must_not_exist(s: Store[Any], clock: Any) -> None:
    assert s.put("a", 1, if_version=ABSENT, ttl=10).revision == 1
    refused(s, ABSENT)
    clock.advance(11)  # expired is absent
    assert s.put("a", 2, if_version=ABSENT).revision == 1
    del s["a"]
    assert s.put("a", 3, if_version=ABSENT).revision == 1


def test_record_of_another_namespace_is_a_conflict(s: Store[Any]) -> None:
    record = s.put("a", 1)
    with s.within("x") as x:
        x["a"] = 1
        assert "in namespace 'x'" in str(refused(x, record))


@pytest.mark.parametrize("wrong", [0, 1, True, False, b"1", (1,), 1.0])
def test_anything_else_is_a_type_error(s: Store[Any], wrong: Any) -> None:
    s["a"] = 1
    with pytest.raises(TypeError, match="if_version is a Record"):
        s.put("a", 2, if_version=wrong)
    assert s["a"] == 1
    assert s.record("a").revision == 1


def test_conflict_inside_a_transaction_leaves_the_rest(s: Store[Any]) -> None:
    record = s.put("a", 1)
    with s.transaction():
        s["b"] = 1
        s["a"] = 2
        with pytest.raises(Conflict):
            s.put("a", 3, if_version=record)
        s["c"] = 1
    assert dict(s) == {"a": 2, "b": 1, "c": 1}


@pytest.mark.heavy
def test_one_of_many_processes_wins(place: str, crowd: Any) -> None:
    with Store[Any](place) as s:
        s["a"] = -1
        won = crowd(
            5,
            """
            from store.errors import Conflict
            wins = 0
            with Store(sys.argv[1]) as s:
                for _ in range(40):
                    record = s.record("a")
                    try:
                        s.put("a", int(sys.argv[2]), if_version=record)
                        wins += 1
                    except Conflict:
                        pass
            print(json.dumps(wins))
            """,
            place,
        )
        assert s.record("a").revision == 1 + sum(won)


@pytest.mark.heavy
def test_one_of_many_processes_creates(place: str, crowd: Any) -> None:
    made = crowd(
        5,
        """
        from store import ABSENT
        from store.errors import Conflict
        made = []
        with Store(sys.argv[1]) as s:
            for i in range(40):
                try:
                    s.put(f"n{i}", int(sys.argv[2]), if_version=ABSENT)
                    made.append(i)
                except Conflict:
                    pass
        print(json.dumps(made))
        """,
        place,
    )
    assert sorted(i for mine in made for i in mine) == list(range(40))
    with Store[Any](place) as s:
        assert {s[f"n{i}"] == number for number, mine in enumerate(made) for i in mine} == {True}
