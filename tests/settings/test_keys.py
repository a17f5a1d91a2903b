"""Keys that no field has: refused alike, however they come. And members of a Flag together."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from store import Store, settings
from store.settings import Settings

unknown = r"has no field 'widht'; did you mean 'width'\?"


@dataclass
class Window:
    width: int = 1


@dataclass
class Prefs:
    window: Window = field(default_factory=Window)
    windows: list[Window] = field(default_factory=list)


def model(**config: Any) -> Any:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its models are not tested")

    class Inner(pydantic.BaseModel):
        model_config = config
        width: int = 1
        tall: int = pydantic.Field(1, alias="height")

    class Model(pydantic.BaseModel):
        window: Inner = Inner()
        windows: list[Inner] = []
        by_name: dict[str, Inner] = {}

    return Model


WRONG = {"window": {"widht": 2}, "windows": [{"width": 1}, {"widht": 2}], "by_name": {"a": {"widht": 2}}}


@pytest.mark.parametrize("name", WRONG)
def test_unknown_keys_of_a_model_are_refused_alike(place, monkeypatch, name):
    with Settings(model(), place, env_prefix="APP_") as prefs:
        for attempt in (
            lambda: setattr(prefs, name, WRONG[name]),
            lambda: settings.update(prefs, {name: WRONG[name]}),
            lambda: settings.modify(prefs, name, lambda value: WRONG[name]),
            lambda: settings.import_(prefs, json.dumps({name: WRONG[name]}), "json"),
        ):
            with pytest.raises(ValueError, match=unknown):
                attempt()
        assert settings.changed(prefs) == {}
        monkeypatch.setenv(f"APP_{name.upper()}", json.dumps(WRONG[name]))
        with pytest.raises(ValueError, match=unknown):
            getattr(prefs, name)


def test_unknown_keys_of_a_dataclass_are_refused_alike(place, monkeypatch):
    with Settings(Prefs, place, env_prefix="APP_") as prefs:
        with pytest.raises(TypeError, match=r"Prefs\.window takes Window"):
            prefs.window = {"widht": 2}
        with pytest.raises(ValueError, match=unknown):
            settings.import_(prefs, '{"window": {"widht": 2}}', "json")
        monkeypatch.setenv("APP_WINDOW", '{"widht": 2}')
        with pytest.raises(ValueError, match=unknown):
            prefs.window


def test_keys_that_a_model_takes(place, monkeypatch):
    with Settings(model(), place, env_prefix="APP_") as prefs:
        prefs.window = {"width": 3, "tall": 4}
        assert (prefs.window.width, prefs.window.tall) == (3, 4)
        with pytest.raises(ValueError, match="no field 'height'"):
            prefs.window = {"height": 4}  # what is stored has names alone
        for key in ("height", "tall"):
            monkeypatch.setenv("APP_WINDOW", json.dumps({key: 7}))
            assert prefs.window.tall == 7
        monkeypatch.delenv("APP_WINDOW")
        settings.import_(prefs, settings.export(prefs, "json"), "json")
        assert (prefs.window.width, prefs.window.tall) == (3, 4)
    with Settings(model(extra="ignore"), place) as prefs:
        prefs.window = {"widht": 5}
    with Settings(model(extra="allow"), place) as prefs:
        prefs.window = {"widht": 5}
        assert prefs.window.widht == 5


def test_keys_of_another_release_are_read(place):
    with Settings(model(extra="allow"), place) as prefs:
        prefs.window = {"widht": 5, "width": 2}
    with Settings(model(), place) as prefs:
        assert prefs.window.width == 2


def test_model_whose_validator_takes_other_keys(place):
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its models are not tested")

    class Inner(pydantic.BaseModel):
        width: int = 1

        @pydantic.model_validator(mode="before")
        @classmethod
        def old_name(cls, data):
            return {"width": data["w"]} if isinstance(data, dict) and "w" in data else data

    class Model(pydantic.BaseModel):
        window: Inner = Inner()

    Model.__annotations__["window"] = Inner
    with Settings(Model, place) as prefs:
        prefs.window = {"w": 5}
        assert prefs.window.width == 5


def test_unknown_names_and_options_name_what_was_meant(place):
    with Settings(Prefs, place) as prefs:
        for attempt in (
            lambda: setattr(prefs, "windwo", 1), lambda: settings.update(prefs, windwo=1), lambda: settings.reset(prefs, "windwo"),
            lambda: prefs.windwo, lambda: settings.import_(prefs, '{"windwo": {}}', "json"), lambda: settings.on_change(prefs, "windwo", print),
        ):  # fmt: skip
            with pytest.raises((AttributeError, ValueError), match=r"no field 'windwo'; did you mean 'window'\?"):
                attempt()
    with Store[Any](place) as s:
        for location in (place, s):
            with pytest.raises(TypeError, match=r"no option 'timeoutt'; did you mean 'timeout'\?"):
                Settings(Prefs, location, timeoutt=5)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    A = 1
    B = 2


@dataclass
class Flags:
    rights: Rights = Rights.READ
    bits: Bits = Bits.A
    many: list[Rights] = field(default_factory=list)


TEXTS = {
    "READ|WRITE": 3, "WRITE, RUN": 6, "Rights.READ|RUN": 5, "5": 5, "1|RUN": 5, "RUN": 4, "": 0, "0": 0, "WRITE": 2, "2": 2,
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_flags_from_the_environment(place, monkeypatch, text):
    monkeypatch.setenv("APP_RIGHTS", text)
    monkeypatch.setenv("APP_MANY", "READ|WRITE,RUN")
    monkeypatch.setenv("APP_BITS", "A|B")
    with Settings(Flags, place, env_prefix="APP_") as prefs:
        assert prefs.rights == Rights(TEXTS[text])
        assert (prefs.bits, prefs.many) == (Bits.A | Bits.B, [Rights.READ | Rights.WRITE, Rights.RUN])
        monkeypatch.delenv("APP_RIGHTS")
        prefs.rights = Rights.READ | Rights.RUN
        assert prefs.rights == Rights.READ | Rights.RUN


@pytest.mark.parametrize("text", ["READ|WRIT", "9", "READ||RUN", "READ;RUN", "-1"])
def test_wrong_flags_from_the_environment(place, monkeypatch, text):
    monkeypatch.setenv("APP_RIGHTS", text)
    with Settings(Flags, place, env_prefix="APP_") as prefs, pytest.raises(ValueError, match=r"APP_RIGHTS .*Flags\.rights"):
        prefs.rights


def test_flags_of_a_model_from_the_environment(place, monkeypatch):
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its flags are not tested")

    class Model(pydantic.BaseModel):
        rights: Rights = Rights.READ

    monkeypatch.setenv("APP_RIGHTS", "READ|RUN")
    with Settings(Model, place, env_prefix="APP_") as prefs:
        assert prefs.rights == Rights.READ | Rights.RUN
