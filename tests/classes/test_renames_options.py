"""What `renames` takes, how stores use it in all their ways to read, and that records written since have new names."""

from __future__ import annotations

import pickle as stdlib
import pickletools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from away import is_absent

from store import Store
from store.classes.lookup import Lookup
from store.codecs import codecs
from store.errors import Corrupt


@pytest.mark.parametrize(
    "renames, error, text",
    [
        (["a.B"], TypeError, "is a mapping"), ("a.B", TypeError, "is a mapping"), (1, TypeError, "is a mapping"),
        ({1: "a.B"}, TypeError, "1 is neither"), ({"a.B": 1}, TypeError, "1 is neither"),
        ({"a.B": None}, TypeError, "None is neither"), ({"a.B": len}, TypeError, "neither"),
        ({"": "a.B"}, ValueError, "not a dotted name"), ({"a..B": "c"}, ValueError, "a..B"),
        ({"a.B": ".B"}, ValueError, "'.B'"), ({"a.B": ""}, ValueError, "not a dotted name"),
        ({"a": "a."}, ValueError, "'a.'"),
    ],
)  # fmt: skip
def test_argument_that_can_never_be_right_is_told_before_a_file_is_made(
    place: str, renames: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text.replace(".", r"\.")):
        Store(place, renames=renames)
    assert is_absent(place)


@pytest.mark.parametrize("choice", ["", "skip", None, "Placeholder"])
def test_unknown_on_missing_is_told_before_a_file_is_made(place: str, choice: Any) -> None:
    with pytest.raises(ValueError, match=r"on_missing .*placeholder"):
        Store(place, on_missing=choice)
    assert is_absent(place)


@pytest.mark.parametrize(
    "renames",
    [
        {"a.X": "b.X", "b.X": "a.X"}, {"a": "b", "b": "c", "c": "a"}, {"a": "b.x", "b": "a.y"},
        {"a": "b", "b.X": "a.X"}, {"x": "a", "a": "b", "b": "a"},
        {"a": "a.b", "a.b": "a"},
    ],
)  # fmt: skip
def test_circle_is_an_error_that_shows_it(renames: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"circle.*→.*→"):
        Lookup(renames)


@pytest.mark.parametrize(
    "renames, name, new",
    [
        ({}, "a.X", None),
        ({"a": "a"}, "a.X", None),
        ({"a": "a.b"}, "a.X", "a.b.X"),
        ({"a": "a.b"}, "a.b.X", None),
        ({"a": "a.b"}, "a.bc.X", "a.b.bc.X"),
        ({"a.b": "a"}, "a.b.X", "a.X"),
        ({"a.b": "a"}, "a.b.b.X", "a.b.X"),
        ({"a.b.X": "a.X"}, "a.b.X", "a.X"),
        ({"a": "b", "b": "c", "c.X": "d.Y"}, "a.X", "d.Y"),
        ({"a": "b", "b": "c", "c.X": "d.Y"}, "a.Z", "c.Z"),
        ({"app": "app.x", "new": "app.x"}, "new.X", "app.x.X"),
        ({"a.X": "b.X"}, "a.X.Y.Z", "b.X.Y.Z"),
        ({"a.X": "b.X"}, "a.XY", None),
        ({"X": "y"}, "a.X", None),
        ({"a.X": SimpleNamespace}, "a.X", "types.SimpleNamespace"),
    ],
)
def test_new_name(renames: Any, name: str, new: str | None) -> None:
    module, _, rest = name.rpartition(".")
    assert Lookup(renames).renamed(module, rest) == new


def test_lookup_keeps_what_it_was_given() -> None:
    renames = {"a.X": "b.X"}
    lookup = Lookup(renames)
    renames["c.X"] = "d.X"
    assert lookup.renamed("c", "X") is None
    assert repr(lookup) == "Lookup({'a.X': 'b.X'}, placeholders=False)"


RENAMES = {"old.User": "new.User"}


@pytest.fixture
def moved(place: str, modules: Any) -> Iterator[Any]:
    """A store's file of two users, and the module that the class moved to."""
    old = modules.add("old")
    with Store(place) as s:
        s["ada"] = old.User("Ada")
        s["both"] = [old.User("Ada"), old.User("Bob")]
    modules.remove("old")
    yield modules.add("new")


READS: dict[str, Callable[[Any], Any]] = {
    "item": lambda s: s["both"],
    "get": lambda s: s.get("both"),
    "get_many": lambda s: s.get_many(["both"])["both"],
    "values": lambda s: list(s.values())[1],
    "items": lambda s: dict(s.items())["both"],
    "dict": lambda s: dict(s)["both"],
    "modify": lambda s: s.modify("both", lambda value: value),
    "setdefault": lambda s: s.setdefault("both", None),
    "within": lambda s: _closing(s.within("")),
    "pickled": lambda s: _closing(stdlib.loads(stdlib.dumps(s))),
    "pop": lambda s: s.pop("both"),
}


def _closing(other: Any) -> Any:
    with other:
        return other["both"]


@pytest.mark.parametrize("writeback", [False, True])
def test_every_way_to_read_finds_the_new_name(place: str, moved: Any, writeback: bool) -> None:
    for read in READS.values():  # "pop" is the last
        with Store(place, renames=RENAMES, writeback=writeback) as s:
            assert read(s) == [moved.User("Ada"), moved.User("Bob")]


def test_store_without_the_renames_tells_what_to_do(place: str, moved: Any) -> None:
    with Store(place) as s, pytest.raises(Corrupt, match=r"'ada'.*'old\.User'.*renames=.*'old\.User'.*placeholder"):
        s["ada"]


def _globals(path: Path, name: str) -> tuple[str, ...]:
    with Store(path) as s:
        return s.inspect(name).globals


def _edit(s: Any) -> None:
    with s.edit("ada") as user:
        user.name = "Eve"


WRITES: dict[str, Callable[[Any], Any]] = {
    "edit": _edit,
    "modify": lambda s: s.modify("ada", lambda user: user),
    "assign": lambda s: s.__setitem__("ada", s["ada"]),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_afterwards_has_the_new_name(place: str, moved: Any, write: str) -> None:
    with Store(place, renames=RENAMES) as s:
        WRITES[write](s)
    assert _globals(place, "ada") == ("new.User",)
    assert _globals(place, "both") == ("old.User",)


def test_edit_without_a_change_writes_nothing(place: str, moved: Any) -> None:
    with Store(place, renames=RENAMES) as s:
        before = s.record("ada")
        with s.edit("ada") as user:
            assert user == moved.User("Ada")
        assert s.record("ada") == before


def test_writeback_writes_what_changed_and_only_that(place: str, moved: Any) -> None:
    with Store(place, renames=RENAMES, writeback=True) as s:
        assert s["both"]
        s["ada"].name = "Eve"
    with Store(place, renames=RENAMES) as s:
        assert s["ada"] == moved.User("Eve") and s["ada"].name == "Eve"
        assert [s.record(name).revision for name in ("ada", "both")] == [2, 1]
    assert _globals(place, "ada") == ("new.User",)


def test_pickled_store_keeps_renames_and_on_missing(place: str, moved: Any, modules: Any) -> None:
    with Store(place, renames={"old": moved.User}, on_missing="placeholder") as s:
        copy = stdlib.loads(stdlib.dumps(s))
    with copy:
        assert copy.opened.options.renames == {"old": moved.User}
        assert "placeholder for old.User" in repr(copy["ada"])  # new.User.User is not there


@pytest.mark.parametrize("name", ["cloudpickle", "dill", "joblib"])
def test_other_picklers_know_renames_too(place: str, modules: Any, name: str) -> None:
    pytest.importorskip(name, reason=f"the codec {name} needs its library")
    old = modules.add("old")
    with Store(place, codec=name) as s:
        s["ada"] = [old.User("Ada"), old.Outer.Inner("Bob")]
    modules.remove("old")
    new = modules.add("new")
    with Store(place, renames={"old": "new"}) as s:
        assert s["ada"] == [new.User("Ada"), new.Outer.Inner("Bob")]
    with Store(place) as s, pytest.raises(Corrupt, match=r"'old\.User'.*renames"):
        s["ada"]


def test_other_codecs_take_the_argument_and_name_nothing(place: str) -> None:
    with closing(Store(place, codec="json", renames={"old": "new"}, on_missing="placeholder")) as s:
        s["a"] = {"old": 1}
        assert s["a"] == {"old": 1}


def test_plain_store_never_looks_a_name_up_in_python(
    place: str, moved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without renames the stdlib's `loads` does all of it."""
    calls = []
    monkeypatch.setattr("store.codecs.pickle.based.pickle.loads", lambda body, **options: calls.append(body))
    monkeypatch.setattr("store.classes.renaming.RenamingUnpickler.find_class", lambda *args: pytest.fail("a look-up in Python"))
    with Store(place) as s:
        assert s["ada"] is None
        assert [pickletools.optimize(body) for body in calls]


def test_codecs_of_the_registry_that_unpickle_are_all_tested_here() -> None:
    assert {"cloudpickle", "dill", "joblib", "pickle"} <= set(codecs.names())
