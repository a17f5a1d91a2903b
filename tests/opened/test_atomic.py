"""`setdefault pop popitem clear update |=`: one step each between processes, and no error taken for a gap.

The mixins of `MutableMapping` would fail all of these: they read and write in two steps, and take a
`KeyError` that a value raises while it is decoded for a missing name.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from store import Record, Store
from store.errors import Corrupt, NotSerializable

PROCESSES = 5


class Treacherous:
    """Can be stored, and not be read later: its `__setstate__` raises a KeyError of its own then."""

    is_later = True

    def __getstate__(self) -> dict[str, int]:
        return {"x": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        if self.is_later:
            raise KeyError("bad")


def store_treacherous(s: Store[Any], name: str = "bad") -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Treacherous, "is_later", False)  # the first of a class is read back at the write
        s[name] = Treacherous()


@pytest.fixture
def treacherous(location: str) -> Any:
    """A store whose newest record cannot be decoded."""
    with Store[Any](location) as s:
        s["good"] = 1
        store_treacherous(s)
        before = s.record("bad")
        yield s
        assert s.record("bad") == before, "the record was touched"
        assert isinstance(before, Record)
        assert s["good"] == 1


class TestKeyErrorInsideAValue:
    """It must come out as Corrupt: the record is there, and stays there."""

    def test_get_is_no_miss(self, treacherous: Store[Any]) -> None:
        for read in (lambda: treacherous["bad"], lambda: treacherous.get("bad"), lambda: treacherous.get("bad", 5)):
            with pytest.raises(Corrupt, match="KeyError") as caught:
                read()
            assert not isinstance(caught.value, KeyError)
            assert caught.value.name == "bad"

    def test_setdefault_does_not_overwrite(self, treacherous: Store[Any]) -> None:
        with pytest.raises(Corrupt):
            treacherous.setdefault("bad", "default")

    def test_pop_does_not_give_the_default(self, treacherous: Store[Any]) -> None:
        with pytest.raises(Corrupt):
            treacherous.pop("bad", "default")
        with pytest.raises(Corrupt):
            treacherous.pop("bad")

    def test_popitem_is_not_at_the_end(self, treacherous: Store[Any]) -> None:
        with pytest.raises(Corrupt):
            treacherous.popitem()

    def test_update_from_a_store_that_has_it_writes_nothing(self, treacherous: Store[Any]) -> None:
        with Store[Any](":memory:") as other:
            other["a"] = 1
            with pytest.raises(Corrupt):
                other.update(treacherous)
            assert other == {"a": 1}

    def test_ior_from_a_store_that_has_it_writes_nothing(self, treacherous: Store[Any]) -> None:
        with Store[Any](":memory:") as other:
            other["a"] = 1
            with pytest.raises(Corrupt):
                other |= treacherous  # noqa: PLW2901
            assert other == {"a": 1}

    def test_iteration_does_not_end_early(self, treacherous: Store[Any]) -> None:
        for read in (treacherous.items, treacherous.values):
            with pytest.raises(Corrupt):
                list(read())
        with pytest.raises(Corrupt):
            treacherous == {}  # noqa: B015
        assert "bad" in treacherous
        assert list(treacherous) == ["good", "bad"]

    def test_edit_and_modify_do_not_take_the_default(self, treacherous: Store[Any]) -> None:
        with pytest.raises(Corrupt), treacherous.edit("bad", default={}):
            pytest.fail("got in")
        with pytest.raises(Corrupt):
            treacherous.modify("bad", lambda value: value, default={})


def test_clear_deletes_what_cannot_be_decoded(location: str) -> None:
    with Store[Any](location) as s:
        store_treacherous(s)
        s.clear()
        assert list(s) == []


def test_update_and_ior_replace_what_cannot_be_decoded(location: str) -> None:
    with Store[Any](location) as s:
        store_treacherous(s)
        s.update(bad=1)
        assert s["bad"] == 1
        store_treacherous(s)
        s |= {"bad": 2}
        assert s["bad"] == 2
        assert s.record("bad").revision == 4


def test_key_error_of_an_update_source_comes_through(location: str) -> None:
    class Broken(dict[str, int]):
        def items(self) -> Any:
            yield "new", 1
            raise KeyError("inner")

    with Store[Any](location) as s:
        with pytest.raises(KeyError, match="inner"):
            s.update(Broken())
        assert list(s) == []


def test_key_error_while_encoding_is_no_miss_either(location: str) -> None:
    class Unwilling:
        def __getstate__(self) -> Any:
            raise KeyError("inner")

    with Store[Any](location) as s:
        for write in (
            lambda: s.__setitem__("a", Unwilling()),
            lambda: s.setdefault("a", Unwilling()),
            lambda: s.update(b=1, a=Unwilling()),
        ):
            with pytest.raises(NotSerializable, match="KeyError"):
                write()
        assert list(s) == []


# -- between processes


@pytest.mark.slow
def test_setdefault_gives_all_processes_one_value(place: str, crowd: Any) -> None:
    seen = crowd(
        PROCESSES,
        """
        with Store(sys.argv[1]) as s:
            print(json.dumps([s.setdefault(f"n{i}", [int(sys.argv[2]), i]) for i in range(60)]))
        """,
        place,
    )
    with Store[Any](place) as s:
        assert all(values == list(s.values()) for values in seen)
        assert {s.record(name).revision for name in s} == {1}
        assert list(s) == [f"n{i}" for i in range(60)]


@pytest.mark.heavy
def test_pop_gives_each_record_to_one_process(place: str, crowd: Any) -> None:
    with Store[Any](place) as s:
        s.update({f"n{i}": i for i in range(150)})
    got = crowd(
        PROCESSES,
        """
        with Store(sys.argv[1]) as s:
            values = [s.pop(f"n{i}", None) for i in range(150)]
            print(json.dumps([value for value in values if value is not None]))
        """,
        place,
    )
    assert Counter(value for values in got for value in values) == Counter(range(150))
    with Store[Any](place) as s:
        assert list(s) == []


@pytest.mark.heavy
def test_popitem_gives_each_record_to_one_process(place: str, crowd: Any) -> None:
    with Store[Any](place) as s:
        s.update({f"n{i}": i for i in range(200)})
    got = crowd(
        PROCESSES,
        """
        taken = []
        with Store(sys.argv[1]) as s:
            while True:
                try:
                    taken.append(s.popitem())
                except KeyError:
                    break
        print(json.dumps(taken))
        """,
        place,
    )
    assert Counter(name for items in got for name, _ in items) == Counter(f"n{i}" for i in range(200))
    for items in got:
        assert [value for _, value in items] == sorted((value for _, value in items), reverse=True)


@pytest.mark.slow
def test_clear_is_seen_all_at_once(place: str, start: Any) -> None:
    writer = start(
        """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s:
            print("ready", flush=True)
            for _ in range(80):
                s.update({f"n{i}": i for i in range(40)})
                s.clear()
            print("1")
        """,
        place,
    )
    writer.hear()
    sizes = set()
    with Store[Any](place) as s:
        while writer.process.poll() is None:
            sizes |= {len(s), len(s | {}), len(s.names())}
        assert len(s) == 0
    assert writer.result() == 1
    assert sizes <= {0, 40}


UPDATE_IN_TWO_HALVES = """
    import sys
    from store import Store
    def pairs():
        for i in range(1200):  # more than two batches, so that the first rows are in the database by the half
            if i == 600:
                print("half", flush=True)
                input()
            yield f"n{i}", "new"
    with Store(sys.argv[1]) as s:
        HOW
        print("1")
    """


@pytest.mark.parametrize("how", ["s.update(pairs())", "s |= pairs()"])
@pytest.mark.slow
def test_update_is_seen_all_at_once(place: str, start: Any, how: str) -> None:
    with Store[Any](place) as s:
        s["n0"] = "old"
        writer = start(UPDATE_IN_TWO_HALVES.replace("HOW", how), place)
        assert writer.hear() == "half"
        assert s == {"n0": "old"}
        assert len(s) == 1
        writer.say()
        assert writer.result() == 1
        assert s == {f"n{i}": "new" for i in range(1200)}


@pytest.mark.parametrize("how", ["s.update(pairs())", "s |= pairs()"])
def test_update_of_a_process_that_is_killed_leaves_nothing(place: str, start: Any, how: str) -> None:
    with Store[Any](place) as s:
        s["n0"] = "old"
        writer = start(UPDATE_IN_TWO_HALVES.replace("HOW", how), place)
        assert writer.hear() == "half"
        writer.kill()
        assert s == {"n0": "old"}
        s["n1"] = "the lock is free again"
        assert len(s) == 2
