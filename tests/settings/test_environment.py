"""Environment variables over settings: they win on read, and are never written back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from preferences import Color, Prefs, Window

from store import Store, settings
from store.settings import Settings


@pytest.fixture
def prefs(place):
    with Settings(Prefs, place, env_prefix="MYAPP_") as prefs:
        yield prefs


class Speed(IntEnum):
    SLOW = 1
    FAST = 2


@dataclass
class Kinds:
    n: int = 0
    f: float = 0.0
    b: bool = False
    s: str = ""
    c: Color = Color.RED
    speed: Speed = Speed.SLOW
    p: Path = Path()
    d: datetime | None = None
    t: timedelta = timedelta(0)
    lit: Literal["a", 5] = "a"
    names: list[str] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    pair: tuple[int, str] = (0, "")
    maps: dict[str, int] = field(default_factory=dict)
    w: Window = field(default_factory=Window)
    either: int | str = 0
    text: str | None = None
    number: int | None = None
    anything: Any = None


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("n", "20", 20), ("n", " -3 ", -3), ("f", "2", 2.0), ("f", "1e3", 1000.0), ("b", "true", True), ("b", "0", False),
        ("b", "Yes", True), ("b", "off", False), ("s", "", ""), ("s", "5", "5"), ("c", "blue", Color.BLUE),
        ("c", "BLUE", Color.BLUE), ("speed", "2", Speed.FAST), ("speed", "FAST", Speed.FAST), ("p", "/x", Path("/x")),
        ("d", "2024-01-02T03:04", datetime(2024, 1, 2, 3, 4)), ("d", "", None), ("t", "90", timedelta(seconds=90)),
        ("lit", "a", "a"), ("lit", "5", 5), ("names", "a, b", ["a", "b"]), ("names", "", []), ("names", '["a,b"]', ["a,b"]),
        ("ports", "80,443", {80, 443}), ("pair", "1,x", (1, "x")), ("pair", '[1, "x"]', (1, "x")),
        ("maps", '{"a": 1}', {"a": 1}), ("w", '{"width": 5}', Window(5)), ("either", "5", 5), ("either", "x", "x"),
        ("text", "none", None), ("text", "some", "some"), ("number", "none", None), ("number", "7", 7),
        ("anything", "[1]", [1]), ("anything", "word", "word"),
    ],
)  # fmt: skip
def test_variable_is_parsed_by_the_fields_type(place, monkeypatch, name, text, value):
    monkeypatch.setenv(f"APP_{name.upper()}", text)
    with Settings(Kinds, place, env_prefix="app_") as prefs:
        found = getattr(prefs, name)
        assert found == value and found.__class__ is type(value)
        assert settings.overridden(prefs) == {name: f"APP_{name.upper()}"}


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("font_size", "big", r"Prefs\.font_size takes int, not 'big' \(str\)"),
        ("beep", "maybe", r"Prefs\.beep takes true or false .*, not 'maybe'"),
        ("color", "green", r"Prefs\.color takes Color \(RED, BLUE\), not 'green'"),
        ("window", "wide", r"Prefs\.window takes Window as JSON, not 'wide'"),
        ("window", '{"with": 1}', r"Prefs\.window has no field 'with'; did you mean 'width'\?"),
        ("position", "1", r"Prefs\.position takes tuple\[int, int\], not '1'"),
        ("level", "medium", r"Prefs\.level takes one of 'low', 'high', not 'medium'"),
        ("since", "yesterday", r"Prefs\.since takes datetime or None, not 'yesterday'"),
    ],
)
def test_variable_of_a_wrong_type_names_variable_and_field(prefs, monkeypatch, name, text, message):
    monkeypatch.setenv(f"MYAPP_{name.upper()}", text)
    whole = f"^the environment variable MYAPP_{name.upper()} is refused: {message}.*; correct it or unset it$"
    with pytest.raises(ValueError, match=whole):
        getattr(prefs, name)
    with pytest.raises(ValueError, match=whole):
        settings.as_object(prefs)
    assert prefs.theme == "dark"


def test_variable_wins_until_it_is_unset(prefs, monkeypatch):
    prefs.font_size = 18
    monkeypatch.setenv("MYAPP_FONT_SIZE", "20")
    assert prefs.font_size == 20
    assert settings.as_object(prefs).font_size == 20
    monkeypatch.delenv("MYAPP_FONT_SIZE")
    assert prefs.font_size == 18
    assert settings.overridden(prefs) == {}


def test_variable_is_never_written_back(prefs, place, monkeypatch):
    monkeypatch.setenv("MYAPP_FONT_SIZE", "20")
    monkeypatch.setenv("MYAPP_RECENT", "from the environment")
    assert settings.as_dict(prefs)["font_size"] == 14 and settings.as_dict(prefs, with_env=True)["font_size"] == 20
    assert settings.changed(prefs) == {}
    assert json.loads(settings.export(prefs, "json"))["font_size"] == 14
    assert json.loads(settings.export(prefs, "json", with_env=True))["font_size"] == 20
    with pytest.warns(UserWarning, match="still wins"):
        settings.update(prefs, settings.as_dict(prefs))
    with pytest.warns(UserWarning, match="RECENT still wins"), settings.edit(prefs, "recent") as recent:
        recent.append("a")
    with pytest.warns(UserWarning, match="SIZE still wins"):
        settings.modify(prefs, "font_size", lambda size: size + 1)
    with pytest.warns(UserWarning, match="SIZE still wins"):
        settings.import_(prefs, "font_size = 16", "toml")
    with Store(place, namespace="settings") as s:
        assert dict(s) == {"recent": ["a"], "font_size": 16}


def test_write_to_an_overridden_field_is_stored_with_a_warning(prefs, place, monkeypatch):
    monkeypatch.setenv("MYAPP_FONT_SIZE", "20")
    with pytest.warns(UserWarning, match="^font_size is stored, and .* MYAPP_FONT_SIZE still wins over it$") as told:
        prefs.font_size = 30
    assert told[0].filename == __file__
    assert prefs.font_size == 20
    prefs.theme = "light"  # no warning: another field
    settings.reset(prefs, "font_size")
    with Store(place, namespace="settings") as s:
        assert dict(s) == {"theme": "light"}


def test_without_a_prefix_no_variable_is_read(place, monkeypatch):
    monkeypatch.setenv("FONT_SIZE", "20")
    with Settings(Prefs, place) as prefs, Settings(Prefs, place, env_prefix="") as bare:
        assert (prefs.font_size, bare.font_size) == (14, 20)


def test_fields_of_one_variable_are_refused(place):
    with pytest.raises(ValueError, match=r"a and A would both be the variable X_A"):
        Settings(make_dataclass("C", [("a", int, 1), ("A", int, 1)]), place, env_prefix="X_")
    with pytest.raises(TypeError, match="env_prefix is a str or None"):
        Settings(Prefs, place, env_prefix=5)
