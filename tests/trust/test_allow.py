"""`store.allow` and `allow=`: classes that load whoever wrote the record."""

from __future__ import annotations

import functools
import io
import operator
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from away import is_absent
from strangers import FOREIGN_KEY, MINE, THEIRS, Point

import store
from store import Store
from store.classes import allowlist
from store.errors import Untrusted

pytestmark = pytest.mark.damaged


class Outer:
    class Inner:
        """Its dotted name has a class where others have a module."""


@store.allow
class Decorated:
    """One that its program declared."""


class Below(Decorated):
    """One that inherits from it."""


@pytest.fixture
def declared() -> Iterator[None]:
    """What a test declares with `store.allow` holds for that test only."""
    before = dict(allowlist._declared)
    yield
    allowlist._declared.clear()
    allowlist._declared.update(before)


def outcome(s: Store[Any], name: str) -> Any:
    try:
        return s[name]
    except Untrusted as exc:
        return type(exc)


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_message_ends_in_the_line_that_allows_it(place: str) -> None:
    with Store(place, key=THEIRS) as s:
        s["instance"] = Outer.Inner()
    with Store(place, key=MINE) as s, pytest.raises(Untrusted) as caught:
        s["instance"]
    dotted = f"{__name__}.Outer.Inner"
    assert caught.value.missing == dotted
    line = f"allow=[{dotted!r}]"
    for part in ("record 'instance': ", line, "@store.allow", "STORE_KEY_FILE"):
        assert part in str(caught.value)
    with Store(place, key=MINE, **eval(f"dict({line})")) as s:
        assert type(s["instance"]) is Outer.Inner


@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.parametrize("how", ["class", "dotted name", "generator", "declared before", "declared later"])
def test_allowed_class_of_a_foreign_record(place: str, declared: None, how: str) -> None:
    with Store(place, key=THEIRS) as s:
        s["instance"] = Point(3)
    ways: dict[str, Any] = {
        "class": [Point], "dotted name": [f"{Point.__module__}.Point"], "generator": (cls for cls in [Point]),
    }  # fmt: skip
    allow = ways.get(how, ())
    if how == "declared before":
        store.allow(Point)
    with Store(place, key=MINE, allow=allow) as s:
        if how == "declared later":
            assert outcome(s, "instance") is Untrusted
            store.allow(Point)
        for _ in range(2):
            assert s["instance"] == Point(3)


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_class_declared_by_decorator(place: str, declared: None) -> None:
    with Store(place, key=THEIRS) as s:
        s["x"] = Decorated()
    with Store(place, key=MINE) as s:
        assert type(s["x"]) is Decorated


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_subclass_of_an_allowed_class_is_not_allowed_with_it(place: str, declared: None) -> None:
    with Store(place, key=THEIRS) as s:
        s["x"] = Below()
    with Store(place, key=MINE, allow=[Point, Decorated]) as s:
        assert outcome(s, "x") is Untrusted


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_class_that_moved_is_allowed_by_its_old_name(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[__name__]
    old = type("OldPoint", (Point,), {"__module__": __name__})
    monkeypatch.setattr(here, "OldPoint", old, raising=False)
    with Store(place, key=THEIRS) as s:
        s["instance"] = old(3)
    monkeypatch.setattr(here, "OldPoint", Point)  # it has another name now, and the old one still leads to it
    with Store(place, key=MINE, allow=[Point]) as s:
        assert outcome(s, "instance") is Untrusted
    with Store(place, key=MINE, allow=[f"{__name__}.OldPoint"]) as s:
        assert s["instance"] == Point(3)


@pytest.mark.parametrize(
    "wrong", [len, "store.Store", None, Point(1), [Point]], ids=["function", "name", "None", "instance", "list"]
)
def test_allow_takes_a_class(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"store\.allow takes a class, not "):
        store.allow(wrong)


NEVER = [functools.partial, operator.attrgetter, operator.methodcaller, subprocess.Popen, type, map, io.FileIO]


@pytest.mark.parametrize("cls", NEVER, ids=lambda cls: cls.__qualname__)
def test_class_that_is_never_allowed(place: str, cls: type) -> None:
    for attempt in (lambda: store.allow(cls), lambda: allowlist.allowed([cls])):
        with pytest.raises(ValueError, match=f"{cls.__module__}.{cls.__qualname__} is never allowed"):
            attempt()
    with pytest.raises(ValueError, match="is never allowed"):
        Store(place, allow=[f"{cls.__module__}.{cls.__qualname__}"])
    assert is_absent(place)


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "importlib.import_module", "pickle.loads"])
def test_function_is_not_allowed(place: str, name: str) -> None:
    with pytest.raises(ValueError, match="there is no class of that dotted name"):
        Store(place, allow=[name])


def test_exception_of_a_dangerous_module_is_allowed() -> None:
    key = ("subprocess", "CalledProcessError")
    assert allowlist.allowed([subprocess.CalledProcessError])[key] is subprocess.CalledProcessError


def test_star_stands_for_the_classes_that_a_module_defines() -> None:
    found = allowlist.allowed([f"{__name__}.*"])
    assert found[__name__, "Outer"] is Outer
    assert found[__name__, "Below"] is Below
    assert ("pathlib", "Path") not in found  # imported here, defined elsewhere
    assert not any(value is pytest for value in found.values())
    for wrong in ("decimal.Decimal.*", "no.such.module.*", ".*", "*"):
        with pytest.raises(ValueError):
            allowlist.allowed([wrong])
