"""No code of a value's class runs, and no text of a value becomes markup, whatever place it comes from."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import pathlib
import re
import sys
import uuid
import zoneinfo
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from markup import markup_of

from store import Store
from store.classes.placeholder import Placeholder
from store.display.html import Html
from store.web.values import brief, whole
from store.web.values.lines import line_of

RAN: list[str] = []
ATTACK = "</code></pre><script>x</script><img src=x onerror=x>\"'><svg onload=x>\u202e\ud800\x1b[2J"


def _runs(name: str) -> Any:
    def method(*_: Any, **__: Any) -> Any:
        RAN.append(name)
        raise RuntimeError(name)

    return method


METHODS = (
    "__repr__", "__str__", "__iter__", "__len__", "__getitem__", "__getattribute__", "__getattr__", "__hash__", "__eq__", "__bool__",
    "__format__", "__index__", "__contains__", "__dir__", "__class_getitem__", "_repr_html_", "__html__", "__fspath__", "__float__", "__int__",
    "__array__", "__reduce_ex__", "items", "keys", "isoformat", "utcoffset", "tzname", "dst", "as_integer_ratio", "tolist", "item",
)  # fmt: skip


class Answering(type):
    """A metaclass whose classes answer every question with code."""

    __module__ = property(_runs("meta.__module__"))  # type: ignore[assignment]
    __instancecheck__ = __subclasscheck__ = _runs("meta.check")
    __eq__ = _runs("meta.__eq__")
    __hash__ = type.__hash__
    __repr__ = _runs("meta.__repr__")


def hostile_class(base: type, *, metaclass: type = type) -> type:
    """A subclass that overrides all that a careless reader would call."""
    body = {name: _runs(name) for name in METHODS if name != "__getattribute__" or base is not object}
    if base is object:
        body["__class__"] = property(_runs("__class__"))
    return metaclass("Hostile", (base,), body)


def made(cls: type, base: type, *args: Any) -> Any:
    return base.__new__(cls, *args)


VALUES = {
    "object": lambda: made(hostile_class(object), object),
    "str": lambda: made(hostile_class(str), str, "text"),
    "int": lambda: made(hostile_class(int), int, 7),
    "float": lambda: made(hostile_class(float), float, 7.5),
    "bytes": lambda: made(hostile_class(bytes), bytes, b"text"),
    "tuple": lambda: made(hostile_class(tuple), tuple, (1, 2)),
    "list": lambda: made(hostile_class(list), list),
    "dict": lambda: made(hostile_class(dict), dict),
    "set": lambda: made(hostile_class(set), set),
    "datetime": lambda: made(hostile_class(dt.datetime), dt.datetime, 2024, 1, 2),
    "date": lambda: made(hostile_class(dt.date), dt.date, 2024, 1, 2),
    "time": lambda: made(hostile_class(dt.time), dt.time, 1),
    "zone": lambda: dt.datetime(2024, 1, 2, tzinfo=made(hostile_class(dt.tzinfo), dt.tzinfo)),
    "zone of a time": lambda: dt.time(1, 2, tzinfo=made(hostile_class(dt.tzinfo), dt.tzinfo)),
    "exception": lambda: made(hostile_class(ValueError), ValueError, "x"),
    "metaclass": lambda: made(hostile_class(object, metaclass=Answering), object),
    "class": lambda: hostile_class(object, metaclass=Answering),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_no_code_of_the_class_runs(name: str) -> None:
    value = VALUES[name]()
    RAN.clear()
    for shown in (value, [value], {"key": value}, (value, value), [{"a": value}, {"a": value}]):
        markup_of(whole(shown))
        markup_of(brief(shown))
    assert RAN == []


def quiet(base: type, *args: Any) -> Any:
    """An object that may be put into what asks for its hash; all else is code."""
    kept = ("__getattribute__", "__hash__", "__eq__")
    body = {name: _runs(name) for name in (*METHODS, "__deepcopy__", "__copy__", "get", "__gt__", "__lt__") if name not in kept}
    return base.__new__(type("Quiet", (base,), body), *args)


class Plain:
    pass


class Ordered(type):
    """A metaclass that answers where attributes are looked for."""

    __mro__ = property(_runs("meta.__mro__"))  # type: ignore[assignment]
    __hash__ = _runs("meta.__hash__")  # type: ignore[assignment]


def _named_by_another_text() -> Any:
    cls = type("Named", (), {})
    cls.__qualname__ = quiet(str, "Named")
    return cls()


def _with_another_dict(value: Any) -> Any:
    held = quiet(dict)
    dict.update(held, value.__dict__, a=1)
    object.__setattr__(value, "__dict__", held)
    return value


def _member() -> Any:
    class Letter(enum.Enum):
        A = 1

    return Letter.A


def _address() -> Any:
    found = ipaddress.IPv4Address(1)
    found._ip = quiet(int, 1)  # type: ignore[attr-defined]
    return found


HOLDERS = {
    "name of a class": _named_by_another_text,
    "attributes": lambda: _with_another_dict(Plain()),
    "attributes of a member": lambda: _with_another_dict(_member()),
    "metaclass of slots": lambda: object.__new__(Ordered("Slotted", (), {"__slots__": ("a",)})),
    "pattern": lambda: re.compile(type("Quiet", (str,), {"__repr__": _runs("__repr__")})("x")),
    "address": _address,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_no_code_of_what_a_value_holds_runs(name: str) -> None:
    value = HOLDERS[name]()
    RAN.clear()
    for shown in (value, [value], {"key": value}, [{"a": value}, {"a": value}]):
        assert "cannot be shown" not in whole(shown) + brief(shown)
    assert RAN == []


def test_addresses_patterns_and_paths_are_their_texts() -> None:
    texts: dict[Any, str] = {
        ipaddress.ip_network("10.0.0.0/8"): "10.0.0.0/8", ipaddress.ip_interface("::1/64"): "::1/64", pathlib.PurePosixPath("a/b"): "a/b",
        uuid.UUID(int=1): "00000000-0000-0000-0000-000000000001", re.compile("x", re.I): "re.compile('x', re.IGNORECASE)",
        dt.timezone(dt.timedelta(hours=1)): "UTC+01:00", zoneinfo.ZoneInfo("UTC"): "UTC",
    }  # fmt: skip
    for value, text in texts.items():
        assert str(value) and hash(value)  # which some keep
        assert markup_of(whole(value)).text == text


def test_slices_that_share_slices_are_short() -> None:
    laughs: Any = 1
    for _ in range(40):
        laughs = slice(laughs, laughs, laughs)
    member = _member()
    object.__setattr__(member, "_value_", slice(member, member, "x" * 10**6))
    for value in (laughs, member, slice("x" * 10**6, "y" * 10**6)):
        assert len(whole(value)) < 2_000 and len(brief([value])) < 2_000
        assert "cannot be shown" not in whole(value) + brief(value)
    assert markup_of(whole(slice(1, None, 2))).text == "slice(1, None, 2)"


def test_content_of_such_objects_is_shown() -> None:
    assert line_of(VALUES["str"]()) == "'text'"
    assert line_of(VALUES["int"]()) == "7"
    assert line_of(VALUES["datetime"]()) == "2024-01-02 00:00:00"
    assert line_of(VALUES["zone"]()) == "2024-01-02 00:00:00 (Hostile)"
    assert line_of(VALUES["tuple"]()) == "Hostile(1, 2)"


def test_harness_sees_code_that_runs() -> None:
    RAN.clear()
    with pytest.raises(RuntimeError, match="__repr__"):
        repr(VALUES["list"]())
    assert RAN == ["__repr__"]


@dataclass
class Holder:
    content: Any


class Attack(enum.Enum):
    ONE = ATTACK


class Zone(dt.tzinfo):
    pass


Zone.__qualname__ = ATTACK
Named = type(ATTACK.encode("ascii", "replace").decode(), (), {"__module__": ATTACK.replace("\ud800", "")})
_named: Any = Named()
_named.a = 1
PLACES: dict[str, Any] = {
    "text": ATTACK, "long text": ATTACK * 1000, "key": {ATTACK: 1}, "value": {"a": ATTACK}, "both in a list": [{ATTACK: ATTACK}, {ATTACK: 1}],
    "nested": {"a": {ATTACK: [ATTACK, {ATTACK}]}}, "attribute": SimpleNamespace(**{ATTACK: ATTACK}), "dataclass": Holder(ATTACK),
    "enumeration": Attack.ONE, "exception": ValueError(ATTACK), "class": _named, "class itself": Named, "zone": dt.datetime(2024, 1, 2, tzinfo=Zone()),
    "bytes": ATTACK.encode("utf-8", "surrogatepass"), "markup": Html("<script>x</script>"), "markup in parts": {Html("<script>k</script>"): [Html("<b onclick=x>")] * 3},
    "table of markup": [{"a": Html("<script>")}, {"a": Html("<script>")}], "tuple key": {(ATTACK, 1): 2},
    "long key": {ATTACK * 1000: ATTACK * 1000}, "field": namedtuple("Row", "a b")(ATTACK, [ATTACK]),
}  # fmt: skip


@pytest.mark.parametrize("where", PLACES)
def test_text_stays_text(where: str) -> None:
    for show in (whole, brief):
        found = markup_of(show(PLACES[where]))
        assert not {"script", "img", "svg"} & set(found.names())
        assert "cannot be shown" not in found.text
        assert not {"\u202e", "\ud800", "\x1b"} & set(found.text)
    assert "<script" in markup_of(whole(PLACES[where])).text or where in ("enumeration", "zone", "markup in parts", "bytes", "class")


def test_placeholder_shows_what_it_holds(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "gone_from_pages.py"
    module.write_text("class Gone:\n    def __init__(self, a):\n        self.a = a\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_from_pages  # type: ignore[import-not-found]

    with Store(tmp_path / "app.db") as s:
        s["x"] = gone_from_pages.Gone("<b>")
    del sys.modules["gone_from_pages"]
    module.unlink()
    with Store(tmp_path / "app.db", on_missing="placeholder") as s:
        value = s["x"]
        assert isinstance(value, Placeholder)
        found = markup_of(whole(value))
    assert found.text.startswith("Gone, 1 attribute Gone(state={'a': '<b>'})") and "state: dict, 1 item" in found.text


def test_value_that_cannot_be_shown_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ValueError(ATTACK)

    monkeypatch.setattr("store.web.values.tree", fails)
    monkeypatch.setattr("store.web.values._brief", fails)
    for show in (whole, brief):
        assert markup_of(show([1])).text.startswith("This value cannot be shown: ValueError: </code></pre><script>")
