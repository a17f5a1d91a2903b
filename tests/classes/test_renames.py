"""Classes that moved are found under their new names, however they were written and wherever in a value they are."""

from __future__ import annotations

import io
import pickle as stdlib
import queue
from collections import OrderedDict
from typing import Any

import pytest

from store.codecs import pickle
from store.errors import Corrupt, Untrusted

PROTOCOLS = range(6)
KINDS = [
    "class", "nested", "innermost", "enum", "namedtuple", "exception", "dataclass", "frozen", "dict", "list", "itself",
    "nested itself",
]  # fmt: skip
EVERYTHING = ["new.mod.*", "new.mod.Outer.Inner", "new.mod.Outer.Inner.Innermost"]


@pytest.mark.parametrize("kind", KINDS)
def test_renamed_module_brings_each_kind_of_object(modules: Any, values: Any, decode: Any, kind: str) -> None:
    bodies = [modules.pickled("old.mod", values[kind], protocol) for protocol in protocols_of(kind)]
    new = modules.add("new.mod")
    for body in bodies:
        assert decode(body, {"old.mod": "new.mod"}, EVERYTHING) == eval(values[kind], vars(new))


def protocols_of(kind: str) -> range:
    """Below protocol 2 pickle writes no slots: it raises TypeError."""
    return PROTOCOLS[2:] if kind in ("frozen", "slot") else PROTOCOLS


def test_every_kind_of_object_is_tested(values: Any) -> None:
    assert sorted(values) == sorted(KINDS)


def test_function_moves_in_full_decoding(modules: Any, full: Any) -> None:
    bodies = [modules.pickled("old", "shout", protocol) for protocol in PROTOCOLS]
    new = modules.add("new")
    for body in bodies:
        assert full(body, {"old.shout": "new.shout"}) is new.shout


CONTAINERS = {
    "list": "[1, User('Ada')]", "tuple": "(1, (User('Ada'),))", "dict": "{'a': {'b': User('Ada')}}",
    "key": "{Key(): 1}", "set": "{Key()}", "frozenset": "frozenset([Key()])", "attribute": "User([User('Ada')])",
    "slot": "Slotted(User('Ada'))", "field": "Item(User('Ada'))", "bag": "Bag(a=User('Ada'))",
    "row": "Row([User('Ada')])", "argument": "Broken(User('Ada'))", "pair": "Point(User('Ada'), Color.RED)",
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTAINERS)
def test_renamed_class_is_found_inside_other_values(modules: Any, decode: Any, kind: str) -> None:
    bodies = [modules.pickled("old", CONTAINERS[kind], protocol) for protocol in protocols_of(kind)]
    new = modules.add("new")
    for body in bodies:
        assert decode(body, {"old": "new"}, ["new.*"]) == eval(CONTAINERS[kind], vars(new))


def test_renamed_class_in_a_cycle_is_one_object(modules: Any, decode: Any) -> None:
    old = modules.add("old")
    user = old.User("Ada")
    user.friends = [user]
    body = stdlib.dumps(user)
    modules.remove("old")
    new = modules.add("new")
    found = decode(body, {"old": "new"}, ["new.User"])
    assert type(found) is new.User and found.friends == [found] and found.friends[0] is found


@pytest.mark.parametrize(
    "renames",
    [
        {"old.mod.Outer.Inner": "new.mod.Outer.Inner", "old.mod.Outer": "new.mod.Outer"},
        {"old.mod.Outer": "new.mod.Outer"},
        {"old.mod": "new.mod"},
        {"old": "new"},
        {"old.mod.Outer": "wrong.Outer", "old.mod.Outer.Inner": "new.mod.Outer.Inner", "old": "wronger"},
    ],
    ids=["class", "outer", "module", "package", "longest"],
)
def test_longest_name_that_fits_counts(modules: Any, decode: Any, renames: Any) -> None:
    bodies = [modules.pickled("old.mod", "Outer.Inner('Ada')", protocol) for protocol in PROTOCOLS]
    new = modules.add("new.mod")
    modules.add("wrong", "class Outer:\n    class Inner: pass")
    allow = ["new.mod.Outer", "new.mod.Outer.Inner", "wrong.Outer"]
    for body in bodies:
        assert decode(body, renames, allow) == new.Outer.Inner("Ada")


def test_nested_class_that_moved_out_is_found_by_its_own_name(modules: Any, decode: Any) -> None:
    bodies = [modules.pickled("app", "Outer.Inner('Ada')", protocol) for protocol in PROTOCOLS]
    app = modules.add("app", "class Outer: pass\nclass Inner: pass")
    for body in bodies:
        found = decode(body, {"app.Outer.Inner": "app.Inner"}, ["app.*"])
        assert type(found) is app.Inner and found.name == "Ada"


def test_class_that_moved_into_another_is_found(modules: Any, decode: Any) -> None:
    bodies = [modules.pickled("app", "User('Ada')", protocol) for protocol in PROTOCOLS]
    app = modules.add("app", "class Outer:\n    class User: pass")
    for body in bodies:
        found = decode(body, {"app.User": "app.Outer.User"}, ["app.Outer.User"])
        assert type(found) is app.Outer.User and found.name == "Ada"


def test_name_is_not_taken_for_one_that_it_begins(modules: Any, decode: Any) -> None:
    body = modules.pickled("older", "[User('Ada')]")
    older = modules.add("older")
    assert decode(body, {"old": "new", "older.Use": "new.X"}, ["older.User"]) == [older.User("Ada")]


def test_target_may_be_the_class_itself(modules: Any, decode: Any) -> None:
    body = modules.pickled("old", "[User('Ada'), Outer.Inner('Bob')]")
    new = modules.add("new")
    found = decode(
        body,
        {"old.User": new.User, "old.Outer.Inner": new.Outer.Inner},
        [new.User, new.Outer.Inner],
    )
    assert found == [new.User("Ada"), new.Outer.Inner("Bob")]


def test_class_that_moved_twice_is_followed(modules: Any, decode: Any) -> None:
    bodies = [modules.pickled(name, "User('Ada')") for name in ("first", "second", "third")]
    third = modules.add("third", "class Member: pass")
    renames = {"first.User": "second.User", "second": "third", "third.User": "third.Member"}
    found = [decode(body, renames, ["third.Member"]) for body in bodies]
    assert [type(user) for user in found] == [third.Member] * 3


def test_module_that_moved_into_itself_is_not_renamed_twice(modules: Any, decode: Any) -> None:
    before = modules.pickled("app", "User('Ada')")
    since = modules.pickled("app.old", "User('Ada')")
    old = modules.add("app.old")
    for body in (before, since):
        assert decode(body, {"app": "app.old"}, ["app.old.User"]) == old.User("Ada")


@pytest.mark.parametrize("renames", [{"Queue.Job": "new.Job"}, {"Queue": "new"}, {"queue.Job": "new.Job"}])
def test_name_as_python_2_spells_it_is_renamed(modules: Any, decode: Any, monkeypatch: Any, renames: Any) -> None:
    new = modules.add("new", "class Job: pass")
    job = type("Job", (), {"__module__": "queue"})
    for protocol in PROTOCOLS:
        with monkeypatch.context() as patch:
            patch.setattr(queue, "Job", job, raising=False)
            body = stdlib.dumps(job(), protocol)  # below protocol 3 with fix_imports: it names `Queue`
        assert (b"Queue" in body) is (protocol < 3)
        if protocol < 3 or "queue.Job" in renames:
            assert type(decode(body, renames, ["new.Job"])) is new.Job
        else:  # there a module `Queue` would be another one
            with pytest.raises((Corrupt, Untrusted), match=r"queue\.Job"):
                decode(body, renames, ["new.Job"])


def test_names_of_python_2_are_found_beside_renames(modules: Any, decode: Any) -> None:
    new = modules.add("new")
    body = (
        b"\x80\x02]q\x00(ccopy_reg\n_reconstructor\nq\x01(cold\nUser\nc__builtin__\nobject\nNtRq\x02}q\x03"
        b"X\x04\x00\x00\x00nameX\x03\x00\x00\x00Adasb" + b"c__builtin__\nset\n]X\x01\x00\x00\x00aa\x85Re."
    )
    assert decode(body, {"old": "new"}, ["new.User"]) == [new.User("Ada"), {"a"}]


def test_missing_target_names_both(modules: Any, full: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    modules.add("new", "")
    for target in ("new.Member", "nowhere.Member", "new.mod.Member"):
        with pytest.raises(Corrupt, match=r"'old\.User'.*new name '" + target.replace(".", r"\.")):
            full(body, {"old.User": target})


def test_missing_target_is_refused_by_its_new_name_with_restraint(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    with pytest.raises(Untrusted, match=r"'nowhere\.Member'") as raised:
        restricted(body, {"old.User": "nowhere.Member"})
    assert raised.value.missing == "nowhere.Member"


def test_target_that_is_no_module_and_class_is_an_error(modules: Any, decode: Any) -> None:
    body = modules.pickled("old", "User('Ada')")
    modules.add("old")
    with pytest.raises((Corrupt, Untrusted), match="Member"):
        decode(body, {"old.User": "Member"}, ["old.User"])


class Subclass(pickle.Unpickler):
    """Overrides `find_class` as programs do: to watch, and hand on."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name)


def test_subclass_that_hands_names_on_finds_those_of_python_2() -> None:
    value = [{1, 2}, OrderedDict(a=range(3)), frozenset("a"), ValueError("x"), b"bytes", len]
    for protocol in PROTOCOLS:
        assert repr(Subclass(io.BytesIO(stdlib.dumps(value, protocol))).load()) == repr(value)
    with pytest.raises(Untrusted, match=r"os|posix"):
        Subclass(io.BytesIO(b"\x80\x02cos\nsystem\n.")).load()
