"""Versions that are too new, upgrades that fail, states that no class wrote, decorators in the wrong place; no cost."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import enum
import pickle as stdlib
from collections.abc import Iterator
from typing import Any

import pytest

import store
from store import Store
from store.codecs import pickle
from store.errors import Corrupt, UnknownProtocol

USER = """
    import store
    @store.versioned({version})
    class User:
        {slots}
        def __init__(self): self.name = "Ada"
        @classmethod
        def __upgrade__(cls, state, from_version): {upgrade}
"""
FAILURES = {
    "raise KeyError('mail')": r"KeyError: 'mail'", "return None": "NoneType", "return [1]": "list", "pass": "NoneType",
    "return {1: 2}": "dict of attributes",
}  # fmt: skip


def user(version: int, upgrade: str = "return state", slots: str = "") -> str:
    return USER.format(version=version, upgrade=upgrade, slots=slots)


@pytest.fixture(params=["own", "foreign"])
def reopened(request: pytest.FixtureRequest, place: str) -> Iterator[Any]:
    """Writes values, and gives the store again: as its own, or under another key."""
    opened = []

    def reopen(**values: Any) -> Any:
        with Store(place, key=None if request.param == "own" else b"the key of somebody else, 32 long") as s:
            s.update(values)
        if request.param == "own":
            opened.append(Store(place))
        else:
            with pytest.warns(UserWarning, match="a key this program does not hold"):
                opened.append(Store(place))
        return opened[-1]

    yield reopen
    for s in opened:
        s.close()


@pytest.mark.parametrize("wrapped", [False, True])
def test_newer_version_names_class_versions_and_record(modules: Any, reopened: Any, wrapped: bool) -> None:
    value = modules.add("app", user(7)).User()
    s = reopened(ada={"a": [(value,)]} if wrapped else value)
    modules.add("app", user(3))
    with pytest.raises(UnknownProtocol, match=r"'ada'.*app\.User of version 7.*up to 3.*intact") as raised:
        s["ada"]
    assert (raised.value.name, raised.value.namespace) == ("ada", "")
    modules.add("app", user(7))
    assert s["ada"]


@pytest.mark.parametrize("upgrade", FAILURES)
def test_upgrade_that_fails_names_class_and_versions_and_leaves_the_record(
    modules: Any, reopened: Any, upgrade: str
) -> None:
    s = reopened(ada=[modules.add("app", user(1)).User()])
    before = s.record("ada"), s.inspect("ada").row.body
    modules.add("app", user(2, upgrade))
    with pytest.raises(Corrupt, match=FAILURES[upgrade]) as raised:
        s["ada"]
    assert "'ada'" in str(raised.value) and "__upgrade__" in str(raised.value)
    if upgrade.startswith("raise"):
        assert "app.User.__upgrade__ could not bring version 1 to 2" in str(raised.value)
        assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(Corrupt), s.edit("ada"):
        pass
    assert (s.record("ada"), s.inspect("ada").row.body) == before
    modules.add("app", user(2, "return {**state, 'mail': 1}"))
    assert s["ada"][0].mail == 1


def test_slot_that_is_gone_is_told(modules: Any, decode: Any) -> None:
    body = stdlib.dumps(modules.add("app", user(1)).User())
    modules.add("app", user(1, slots="__slots__ = ()"))
    with pytest.raises(Corrupt, match=r"no slot for the attribute 'name'.*__upgrade__"):
        decode(body)


def pickled_state(state: Any) -> bytes:
    """A pickle that gives a User that state."""
    return b"\x80\x05capp\nUser\n)\x81" + stdlib.dumps(state, 5)[2:-1] + b"b."


VERSION, STATE = "store:version", "store:state"  # on disk: never to change
HOSTILE = {
    "text": ({VERSION: "1", STATE: {}}, "is '1', which is no version"),
    "true": ({VERSION: True, STATE: {}}, "no version"),
    "zero": ({VERSION: 0, STATE: {}}, "no version"),
    "negative": ({VERSION: -1, STATE: {}}, "no version"),
    "float": ({VERSION: 1.0, STATE: {}}, "no version"),
    "none": ({VERSION: None, STATE: {}}, "no version"),
    "list": ({VERSION: [10**6] * 9, STATE: {}}, "no version"),
    "number for a name": ({VERSION: 1, STATE: {1: 2}}, "no dict of attributes"),
    "bytes for a name": ({VERSION: 1, STATE: {b"a": 2}}, "no dict of attributes"),
    "text for a state": ({VERSION: 1, STATE: "abc"}, "no dict of attributes"),
    "long list": ({VERSION: 1, STATE: [1, 2, 3]}, "no dict of attributes"),
    "three parts": ({VERSION: 1, STATE: ({}, {}, {})}, "no dict of attributes"),
    "unversioned text": ("abc", "no dict of attributes"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_state_that_no_class_wrote_is_corrupt(modules: Any, decode: Any, kind: str) -> None:
    modules.add("app", user(1))
    state, text = HOSTILE[kind]
    with pytest.raises(Corrupt, match=text):
        decode(pickled_state(state))


def test_huge_version_is_newer_and_nothing_else(modules: Any, decode: Any) -> None:
    modules.add("app", user(1))
    with pytest.raises(UnknownProtocol, match="versions up to 1"):
        decode(pickled_state({VERSION: 2**40, STATE: {}}))


def test_state_that_has_more_beside_its_version_is_older_state(modules: Any, decode: Any) -> None:
    """A class may have attributes of any name."""
    modules.add("app", user(1))
    state = {VERSION: 9, STATE: {}, "name": "Ada"}
    assert vars(decode(pickled_state(state))) == state


ARMED = """
    import store
    ran = []
    class Trap:
        def __set__(self, owner, value): ran.append(value)
        def __get__(self, owner, cls=None): return self
    @store.versioned(1)
    class User:
        trap = Trap()
        @property
        def checked(self): return 1
        @checked.setter
        def checked(self, value): ran.append(value)
        def __setattr__(self, name, value): ran.append(value)
        def __getattr__(self, name): ran.append(name); raise AttributeError(name)
        def __init__(self): pass
"""


@pytest.mark.parametrize("parts", ["dict", "two dicts", "versioned"])
def test_state_writes_slots_and_dict_and_runs_nothing(modules: Any, decode: Any, parts: str) -> None:
    app = modules.add("app", ARMED)
    state = {"checked": 1, "trap": 2, "__class__": int, "__dict__": {}, "x": 3}
    body = {"dict": state, "two dicts": ({}, state), "versioned": {VERSION: 1, STATE: state}}[parts]
    found = decode(pickled_state(body))
    assert app.ran == []
    assert type(found) is app.User and object.__getattribute__(found, "__dict__") == state


def test_class_or_dict_in_the_state_of_slots_is_corrupt(modules: Any, decode: Any) -> None:
    modules.add("app", user(1, slots="__slots__ = ('name',)"))
    for name in ("__class__", "__dict__", "__init__", "other", "__doc__"):
        with pytest.raises(Corrupt, match=f"no slot for the attribute '{name}'"):
            decode(pickled_state({VERSION: 1, STATE: {name: int}}))
    assert decode(pickled_state({VERSION: 1, STATE: {"name": "Ada"}})).name == "Ada"


def test_member_of_another_kind_of_object_is_an_attribute_like_any_other(modules: Any, decode: Any) -> None:
    modules.add("app", user(1))
    found = decode(pickled_state({VERSION: 1, STATE: {"__basicsize__": 1}}))
    assert vars(found) == {"__basicsize__": 1} and type(found).__basicsize__ != 1


@pytest.mark.parametrize("name", ["__setstate__", "append"])
@pytest.mark.parametrize("parts", ["dict", "two dicts", "versioned"])
def test_method_in_the_state_of_a_stranger_is_corrupt(modules: Any, parts: str, name: str) -> None:
    modules.add("app", user(1))
    state = {name: len}
    body = {"dict": state, "two dicts": ({}, state), "versioned": {VERSION: 1, STATE: state}}[parts]
    with pytest.raises(Corrupt, match=f"'{name}', which is the name of a method"):
        pickle.codec.decode_restricted(pickled_state(body), allow=store.classes.allowlist.allowed())


# -- the decorator in the wrong place


def upgrade(cls: Any, state: Any, from_version: int) -> Any:
    return state


METHODS = {"__upgrade__": classmethod(upgrade)}


def made(*bases: type, **methods: Any) -> type:
    return type("Made", bases, {**METHODS, **methods})


MISUSE: dict[str, Any] = {
    "own reduce": (lambda: made(__reduce__=lambda self: (int, ())), "__reduce__ of its own"),
    "own reduce_ex": (lambda: made(__reduce_ex__=lambda self, n: (int, ())), "__reduce__ of its own"),
    "inherited reduce": (lambda: made(made(__reduce__=lambda self: (int, ()))), "__reduce__ of its own"),
    "enum": (lambda: enum.Enum("Color", "RED"), "__reduce__ of its own"),
    "namedtuple": (lambda: collections.namedtuple("Point", "x"), "immutable"),
    "exception": (lambda: made(ValueError), "__reduce__ of its own"),
    "set": (lambda: made(set), "__reduce__ of its own"),
    "tuple": (lambda: made(tuple), "immutable"),
    "text": (lambda: made(str), "immutable"),
    "number": (lambda: made(int), "immutable"),
    "no upgrade": (lambda: type("Made", (), {}), r"__upgrade__\(cls, state, from_version\)"),
    "plain method": (lambda: made(__upgrade__=upgrade), "must be a classmethod"),
    "static method": (lambda: made(__upgrade__=staticmethod(upgrade)), "must be a classmethod"),
    "function": (lambda: upgrade, "decorates a class"),
    "object": (lambda: 1, "decorates a class"),
    "none": (lambda: None, "decorates a class"),
}


@pytest.mark.parametrize("kind", MISUSE)
def test_class_that_cannot_be_versioned_is_told_why(kind: str) -> None:
    make, text = MISUSE[kind]
    with pytest.raises(TypeError, match=text):
        store.versioned(2)(make())


@pytest.mark.parametrize("version, error", [
    (0, ValueError), (-1, ValueError), (2**31, ValueError), (True, TypeError), ("2", TypeError), (None, TypeError),
    (2.0, TypeError), (type("Made", (), {}), TypeError),
])  # fmt: skip
def test_version_that_is_none_is_told(version: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="a version is"):
        store.versioned(version)


def test_first_version_needs_no_upgrade() -> None:
    assert store.versioned(1)(type("Made", (), {}))


def test_refused_class_is_left_as_it_was() -> None:
    cls = made(__upgrade__=upgrade)
    before = dict(vars(cls))
    with pytest.raises(TypeError):
        store.versioned(2)(cls)
    assert dict(vars(cls)) == before


@pytest.mark.parametrize("frozen", [False, True])
def test_decorator_below_a_dataclass_with_slots_is_told_at_the_first_pickle(frozen: bool) -> None:
    @dataclasses.dataclass(slots=True, frozen=frozen)
    @store.versioned(1)
    class Price:
        cents: int

    with pytest.raises(TypeError, match="above @dataclass"):
        stdlib.dumps(Price(1))


# -- what it costs


def test_pickle_of_an_unversioned_class_is_what_pickle_writes(modules: Any) -> None:
    app = modules.add("app", "class User: pass\nclass Slots:\n    __slots__ = ('a',)")
    plain, slots = app.User(), app.Slots()
    plain.name, slots.a = "Ada", 1
    before = [stdlib.dumps([plain, slots], protocol) for protocol in range(2, 6)]
    mine = modules.add("other", user(1)).User
    assert [stdlib.dumps([plain, slots], protocol) for protocol in range(2, 6)] == before
    assert [pickle.codec.encode([plain, slots], protocol) for protocol in range(2, 6)] == before
    assert b"store:version" not in before[3]
    assert not {"__getstate__", "__setstate__"} & set(vars(app.User))
    assert type(mine()) not in copyreg.dispatch_table


def test_versioned_and_other_classes_are_decoded_by_the_stdlib_alone(
    place: str, modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = modules.add("app", user(1) + "\n    class Plain: pass\n")
    given = []
    loads = stdlib.loads

    def watched(body: bytes, **options: Any) -> Any:
        given.append(body)
        return loads(body, **options)

    with Store(place) as s:
        s["a"] = [app.User(), app.Plain()]
        monkeypatch.setattr("store.codecs.pickle.based.pickle.loads", watched)
        monkeypatch.setattr("store.codecs.pickle.based.unpickled", lambda *args: pytest.fail("not by the stdlib's loads"))
        assert [type(found) for found in s["a"]] == [app.User, app.Plain]
        assert given == [s.inspect("a").row.body]


def test_version_is_stored_where_readers_of_later_releases_look_for_it(modules: Any) -> None:
    app = modules.add("app", user(3))
    assert app.User().__reduce_ex__(5)[2] == {VERSION: 3, STATE: {"name": "Ada"}}
