"""`delete`, `delete_many`, `delete_prefix` and `popitem`: right names go, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from store import ABSENT, Conflict, ReadOnly, Store
from store.opened import writing


def test_delete_says_whether_there_was_one(s: Store[Any], clock: Any) -> None:
    s["a"] = 1
    assert s.delete("a") is True
    assert s.delete("a") is False
    s.put("a", 1, ttl=5)
    clock.advance(6)
    assert s.delete("a") is False
    assert s.delete("\ud800") is False
    with pytest.raises(TypeError):
        s.delete(1)  # type: ignore[arg-type]


def test_delete_in_a_known_state(s: Store[Any]) -> None:
    old = s.put("a", 1)
    new = s.put("a", 2)
    for wrong in (old, old.version):
        with pytest.raises(Conflict):
            s.delete("a", if_version=wrong)
    assert s.delete("a", if_version=new.version) is True
    with pytest.raises(Conflict):
        s.delete("a", if_version=new)
    for nonsense in (ABSENT, 0, True):
        with pytest.raises(TypeError, match="if_version"):
            s.delete("a", if_version=nonsense)  # type: ignore[arg-type]


def test_delete_many_is_one_step_and_counts(s: Store[Any]) -> None:
    s.update(a=1, b=2, c=3)
    assert s.delete_many(["a", "b", "a", "missing"]) == 2
    assert s.delete_many(name for name in ["c"]) == 1
    assert s.delete_many([]) == 0
    s.update(a=1, b=2)
    with pytest.raises(TypeError, match="delete"):
        s.delete_many("ab")
    with pytest.raises(TypeError):
        s.delete_many(["a", 1])  # type: ignore[list-item]
    assert list(s) == ["a", "b"]
    with pytest.raises(ZeroDivisionError), s.transaction():
        s.delete_many(["a", "b"])
        1 / 0
    assert list(s) == ["a", "b"]


def test_delete_prefix_goes_in_batches(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH", 3)
    s.update({f"user:{number}": number for number in range(10)})
    s.update({"user": 1, "uses": 2, "user;": 3})
    with s.within("other") as other:
        other["user:1"] = 1
        assert s.delete_prefix("user:") == 10
        assert dict(other) == {"user:1": 1}
    assert set(s) == {"user", "uses", "user;"}
    assert s.delete_prefix("none") == 0


@pytest.mark.parametrize("prefix, error", [("", ValueError), (None, TypeError), (5, TypeError), ("\ud800", ValueError)])
def test_delete_prefix_refuses_what_makes_no_sense(s: Store[Any], prefix: Any, error: type[Exception]) -> None:
    s["a"] = 1
    with pytest.raises(error):
        s.delete_prefix(prefix)
    assert list(s) == ["a"]


def test_delete_prefix_inside_a_transaction_is_undone_with_it(
    s: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH", 2)
    s.update(a1=1, a2=2, a3=3)
    with pytest.raises(ZeroDivisionError), s.transaction():
        assert s.delete_prefix("a") == 3
        assert len(s) == 0
        1 / 0
    assert list(s) == ["a1", "a2", "a3"]


def test_popitem_from_both_ends(s: Store[Any], clock: Any) -> None:
    s.put("gone", 0, ttl=1)
    s.update(a=1, b=2, c=3)
    clock.advance(2)
    assert s.popitem(last=False) == ("a", 1)
    assert s.popitem() == ("c", 3)
    assert s.popitem(False) == ("b", 2)
    for last in (True, False):
        with pytest.raises(KeyError, match="empty"):
            s.popitem(last=last)


@pytest.mark.slow
def test_queue_of_several_processes_gives_each_item_once(place: str, crowd: Any) -> None:
    with Store[Any](place) as s:
        s.update({f"{number}": number for number in range(100)})
        taken = crowd(
            3,
            """
            taken = []
            with Store(sys.argv[1]) as s:
                while True:
                    try:
                        taken.append(s.popitem(last=False)[1])
                    except KeyError:
                        break
            print(json.dumps(taken))
            """,
            place,
        )
        assert len(s) == 0
    assert all(mine == sorted(mine) for mine in taken)
    assert sorted(number for mine in taken for number in mine) == list(range(100))


@pytest.mark.slow
def test_one_of_many_processes_deletes_a_state(place: str, crowd: Any) -> None:
    with Store[Any](place) as s:
        version = s.put("a", 1).version
    deleted = crowd(
        4,
        """
        from store.errors import Conflict
        with Store(sys.argv[1]) as s:
            try:
                print(json.dumps(s.delete("a", if_version=sys.argv[2])))
            except Conflict:
                print("false")
        """,
        place,
        version,
    )
    assert sorted(deleted) == [False, False, False, True]


def test_writeback_brings_nothing_back(place: str) -> None:
    with Store[Any](place, writeback=True) as s:
        for name in ("a1", "a2", "b", "c"):
            s[name] = []
            s[name].append(1)
        assert s.delete("c") is True
        assert s.delete_many(["b"]) == 1
        assert s.popitem(last=False) == ("a1", [1])
        assert s.delete_prefix("a") == 1
    with Store[Any](place) as s:
        assert list(s) == []


def test_read_only_store_refuses(place: str) -> None:
    Store(place)["a"] = 1
    with Store[Any](place, mode="r") as s:
        for call in (lambda: s.delete("a"), lambda: s.delete_many(["a"]), lambda: s.delete_prefix("a")):
            with pytest.raises(ReadOnly):
                call()
        with pytest.raises(ReadOnly):
            s.popitem(last=False)
        assert list(s) == ["a"]
