"""Changes to what a field gave: they raise, and say how they are made; nothing else about it is another."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import asdict, dataclass, field, replace
from functools import singledispatch
from typing import Any

import pytest

from store import settings
from store.settings import Settings
from store.settings.frozen import frozen, thawed

told = pytest.raises(TypeError, match=r"is read as a copy.* `with settings\.edit\(prefs, '\w+'\) as value:`")


@dataclass
class Inner:
    tags: list[str] = field(default_factory=lambda: ["a"])

    def add(self, tag: str) -> None:
        self.tags.append(tag)


@dataclass
class Window:
    width: int = 800
    inner: Inner = field(default_factory=Inner)

    def widen(self) -> None:
        self.width += 1


@dataclass(slots=True)
class Slotted:
    x: int = 1
    items: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    x: int = 0
    marks: tuple[list[int], ...] = ()


@dataclass
class Prefs:
    recent: list[str] = field(default_factory=lambda: ["a"])
    tags: set[str] = field(default_factory=lambda: {"a"})
    maps: dict[str, list[int]] = field(default_factory=lambda: {"a": [1]})
    pair: tuple[list[int], int] = field(default_factory=lambda: ([1], 2))
    window: Window = field(default_factory=Window)
    windows: list[Window] = field(default_factory=lambda: [Window()])
    slotted: Slotted = field(default_factory=Slotted)
    point: Point = Point()
    anything: Any = field(default_factory=lambda: [{"a": [1]}])


@pytest.fixture(params=["default", "stored", "from the environment"])
def prefs(request, place, monkeypatch):
    with Settings(Prefs, place, env_prefix="APP_") as found:
        if request.param == "stored":
            for name, value in CHANGED.items():
                setattr(found, name, value)
        if request.param == "from the environment":
            monkeypatch.setenv("APP_RECENT", "b")
            monkeypatch.setenv("APP_WINDOW", '{"width": 5}')
            monkeypatch.setenv("APP_MAPS", '{"a": [2]}')
        yield found


CHANGED = {
    "recent": ["b"], "tags": {"b"}, "maps": {"a": [3]}, "pair": ([3], 4), "window": Window(5, Inner(["c"])),
    "windows": [Window(6)], "slotted": Slotted(7), "point": Point(8, ([1],)), "anything": [{"a": [9]}],
}  # fmt: skip
CHANGES = {
    "recent": [
        lambda v: v.append("x"), lambda v: v.extend("x"), lambda v: v.insert(0, "x"), lambda v: v.pop(), lambda v: v.clear(),
        lambda v: v.remove(v[0]), lambda v: v.sort(), lambda v: v.reverse(), lambda v: v.__setitem__(0, "x"),
        lambda v: v.__delitem__(0), lambda v: v.__setitem__(slice(0), ["x"]),
    ],
    "tags": [
        lambda v: v.add("x"), lambda v: v.discard("a"), lambda v: v.remove("a"), lambda v: v.pop(), lambda v: v.clear(),
        lambda v: v.update("x"), lambda v: v.difference_update("x"), lambda v: v.intersection_update("x"),
        lambda v: v.symmetric_difference_update("x"),
    ],
    "maps": [
        lambda v: v.__setitem__("x", []), lambda v: v.__delitem__("a"), lambda v: v.pop("a"), lambda v: v.popitem(),
        lambda v: v.clear(), lambda v: v.update(x=[]), lambda v: v.setdefault("x", []), lambda v: v["a"].append(1),
    ],
    "pair": [lambda v: v[0].append(1)],
    "window": [
        lambda v: setattr(v, "width", 1), lambda v: delattr(v, "width"), lambda v: v.widen(),
        lambda v: v.inner.tags.append("x"), lambda v: setattr(v.inner, "tags", []), lambda v: v.inner.add("x"),
        lambda v: setattr(v, "typo", 1),
    ],
    "windows": [lambda v: setattr(v[0], "width", 1), lambda v: v.append(Window())],
    "slotted": [lambda v: setattr(v, "x", 5), lambda v: v.items.append(5)],
    "anything": [lambda v: v.append(1), lambda v: v[0].clear(), lambda v: v[0]["a"].append(1)],
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes_to_what_was_read_raise_and_change_nothing(name):
    for value in (getattr(Prefs(), name), CHANGED[name]):
        found = frozen(value, f"Prefs.{name}")
        for change in CHANGES[name]:
            with told:
                change(found)
            assert found == value


def test_what_each_field_gives_refuses_changes(prefs):
    changed = settings.changed(prefs)
    for name, changes in CHANGES.items():
        with told:
            changes[0](getattr(prefs, name))
    assert settings.changed(prefs) == changed


def test_what_was_read_is_what_it_is_in_place_of(prefs):
    for name, value in settings.as_dict(prefs, with_env=True).items():
        found = getattr(prefs, name)
        assert found == value and value == found and repr(found) == repr(value) and isinstance(found, type(value))
        assert found.__class__ is type(value)
    plain = settings.as_dict(prefs, with_env=True)
    assert json.dumps([prefs.recent, prefs.maps]) == json.dumps([plain["recent"], plain["maps"]])
    match prefs.window:
        case Window(width, Inner(tags)):
            assert (width, tags) == (prefs.window.width, prefs.window.inner.tags)
        case _:
            pytest.fail("no match")
    assert kind(prefs.window) == "a window" and kind(prefs.recent) == "a list"


@singledispatch
def kind(value):
    return "something"


@kind.register
def _(value: Window):
    return "a window"


@kind.register
def _(value: list):
    return "a list"


@pytest.mark.parametrize("make", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_can_be_changed(make):
    for name, changes in CHANGES.items():
        found = frozen(CHANGED[name], f"Prefs.{name}")
        copied = make(found)
        assert copied == found and type(copied) is type(CHANGED[name])
        changes[0](copied)
        assert copied != found == CHANGED[name]


def test_shallow_copies_are_plain_too():
    found = frozen(CHANGED["window"], "Prefs.window")
    copied = copy.copy(found)
    copied.inner.tags.append("x")
    assert copied != found


def test_operators_make_plain_values(place):
    with Settings(Prefs, place) as prefs:
        check_operators(prefs)


def check_operators(prefs):
    for found, plain in [
        (prefs.tags | {"x"}, {"a", "x"}), (prefs.tags - {"x"}, {"a"}), (prefs.tags.union("x"), {"a", "x"}),
        (prefs.tags & {"a"}, {"a"}), (prefs.tags ^ {"x"}, {"a", "x"}), (prefs.tags.copy(), {"a"}),
        (prefs.slotted.items + list("a"), ["a"]), (prefs.slotted.items * 2, []), (prefs.slotted.items[:], []),
        (prefs.slotted.items.copy(), []), (prefs.window.inner.tags[:], ["a"]), ({**prefs.maps}.keys(), {"a"}),
        (type(prefs.tags)("b"), {"b"}), (sorted(prefs.tags), ["a"]), (list(prefs.tags), ["a"]),
    ]:  # fmt: skip
        assert found == plain and type(found) in (list, set, type({}.keys()))
    assert type(prefs.maps | {"x": [1]}) is dict and type(prefs.maps.copy()["a"]) is list
    assert type(asdict(prefs.window)["inner"]["tags"]) is list


def test_assignment_by_an_operator_is_written(place):
    with Settings(Prefs, place) as prefs:
        prefs.recent += ["x"]
        prefs.tags |= {"x"}
        prefs.maps |= {"x": [1]}
        prefs.recent *= 2
        assert prefs.recent == ["a", "x", "a", "x"]
        assert (prefs.tags, prefs.maps) == ({"a", "x"}, {"a": [1], "x": [1]})
        with told:
            prefs.window.inner.tags += ["x"]


def test_what_was_read_may_be_assigned_to_another_field(place):
    with Settings(Prefs, place) as prefs, Settings(Prefs, place, namespace="other") as other:
        for name, value in CHANGED.items():
            setattr(prefs, name, value)
            setattr(other, name, getattr(prefs, name))
        assert settings.changed(other) == settings.changed(prefs) == CHANGED
        other.windows = [prefs.window, replace(prefs.window, width=1)]
        other.anything = {"kept": prefs.recent, "too": (prefs.maps,)}
        assert settings.as_dict(other)["windows"] == [Window(5, Inner(["c"])), Window(1, Inner(["c"]))]
        assert other.anything == {"kept": ["b"], "too": ({"a": [3]},)}
        assert settings.modify(other, "recent", lambda recent: prefs.recent) == ["b"]


def test_values_that_are_made_to_be_changed_are_plain(prefs):
    for values in (settings.as_dict(prefs), settings.as_dict(prefs, with_env=True), vars(settings.as_object(prefs))):
        for name, changes in CHANGES.items():
            changes[0](values[name])
    with settings.edit(prefs, "windows") as windows:
        windows[0].inner.tags.append("y")
    assert prefs.windows[0].inner.tags[-1] == "y"


@dataclass
class Lazy:
    width: int = 2
    _kept: int = 0

    def area(self) -> int:
        if not hasattr(self, "_area"):
            self._area = self.width**2
        return self._area


def test_method_that_keeps_what_it_computed():
    found = frozen(Lazy(3), "Prefs.lazy")
    assert (found.area(), found.area()) == (9, 9)
    with told:
        found._kept = 1
    assert copy.deepcopy(found).area() == 9


def test_shared_default_of_a_factory_stays_as_it_is(place):
    shared = Window()

    @dataclass
    class Shared:
        window: Window = field(default_factory=lambda: shared)

    with Settings(Shared, place) as prefs:
        assert prefs.window == shared
    assert type(shared) is Window and type(shared.inner.tags) is list


def test_class_that_keeps_a_list_of_its_subclasses_hears_nothing(place):
    known = []

    class Meta(type):
        def __init__(cls, *args, **named):
            known.append(cls)
            super().__init__(*args)

    class Base(metaclass=Meta):
        def __init_subclass__(cls, *, needed, **named):
            known.append(needed)

    @dataclass
    class Plugin(Base, needed="x"):
        n: int = 1

    @dataclass
    class Plugins:
        plugin: Plugin = field(default_factory=Plugin)

    before = list(known)
    Plugins.__annotations__["plugin"] = Plugin
    with Settings(Plugins, place) as prefs:
        with told:
            prefs.plugin.n = 2
    assert known == before


@pytest.mark.parametrize("library", ["attrs", "pydantic", "pydantic dataclass"])
def test_objects_of_other_libraries(place, library):
    if library == "attrs":
        attrs = pytest.importorskip("attrs", reason="attrs is not installed: its objects are not tested")

        @attrs.define
        class Inside:
            width: int = 1
            tags: list[str] = attrs.field(factory=list)

        @attrs.define
        class Outside:
            window: Inside = attrs.field(factory=Inside)
            recent: list[str] = attrs.field(factory=list)

    elif library == "pydantic":
        pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its models are not tested")

        class Inside(pydantic.BaseModel):
            width: int = 1
            tags: list[str] = []

        class Outside(pydantic.BaseModel):
            window: Inside = Inside()
            recent: list[str] = []

    else:
        pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its dataclasses are not tested")
        from pydantic.dataclasses import dataclass as validated

        @validated
        class Inside:
            width: int = 1
            tags: list[str] = field(default_factory=list)

        @validated
        class Outside:
            window: Inside = field(default_factory=Inside)
            recent: list[str] = field(default_factory=list)

    Outside.__annotations__["window"] = Inside
    with Settings(Outside, place) as prefs:
        for _ in range(2):
            with told:
                prefs.window.width = 5
            with told:
                prefs.window.tags.append("x")
            with told:
                prefs.recent.append("x")
            assert repr(prefs.window) == repr(settings.as_dict(prefs)["window"])
            copied = copy.deepcopy(prefs.window)
            copied.width = 7
            copied.tags.append("y")
            prefs.window = copied
        assert settings.as_dict(prefs)["window"].tags == ["y", "y"]
        prefs.window = prefs.window
        assert prefs.window == copied and prefs.window.width == 7
        with settings.edit(prefs, "window") as window:
            window.width = 9
        assert prefs.window.width == 9


def test_other_containers():
    given = {
        "deque": deque([[1]], 3), "counter": Counter("aab"), "ordered": OrderedDict(b=[1], a=2),
        "default": defaultdict(list, a=[1]), "none": None, "text": "x", "frozenset": frozenset({1}),
    }  # fmt: skip
    found = frozen(given, "C.x")
    assert found == given and thawed(found) == given
    for name in ("deque", "counter", "ordered", "default"):
        assert repr(found[name]) == repr(given[name])
        assert type(thawed(found)[name]) is type(given[name])
    assert thawed(found)["deque"].maxlen == 3 and thawed(found)["default"].default_factory is list
    assert found["counter"]["missing"] == 0
    for change in (
        lambda: found["deque"].appendleft(1), found["deque"].rotate, lambda: found["deque"][0].append(1),
        lambda: found["counter"].update("a"), lambda: found["counter"].subtract("a"),
        lambda: found["ordered"].move_to_end("b"), lambda: found["default"]["new"],
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"^C\.x is read as a copy"):
            change()
    assert found == given
