"""A release of a program with stricter rules than the one that stored the settings: a field that is refused by now
blocks itself alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from store import settings
from store.settings import Settings

blocked = pytest.warns(UserWarning, match=r"V2\.size is stored as 50, which is refused now \(.*size must be at most 10.*settings\.reset\(prefs, 'size'\)")


@dataclass
class V1:
    size: int = 5
    name: str = ""
    low: int = 0
    high: int = 10
    recent: list[str] = field(default_factory=list)


def check(size: int, low: int, high: int) -> None:
    if size > 10:
        raise ValueError("size must be at most 10")
    if low > high:
        raise ValueError("low is above high")


def by_dataclass():
    @dataclass
    class V2(V1):
        def __post_init__(self):
            check(self.size, self.low, self.high)

    return V2


def by_attrs():
    attrs = pytest.importorskip("attrs", reason="attrs is not installed: its rules are not tested")

    @attrs.define
    class V2:
        size: int = 5
        name: str = attrs.field(default="", converter=str)
        low: int = 0
        high: int = 10
        recent: list[str] = attrs.field(factory=list)

        def __attrs_post_init__(self):
            check(self.size, self.low, self.high)

    V2.__annotations__.update(V1.__annotations__)
    return V2


def by_pydantic():
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its rules are not tested")

    class V2(pydantic.BaseModel):
        size: int = 5
        name: str = ""
        low: int = 0
        high: int = 10
        recent: list[str] = []

        @pydantic.model_validator(mode="after")
        def check(self):
            check(self.size, self.low, self.high)
            return self

    return V2


@pytest.fixture(params=[by_dataclass, by_attrs, by_pydantic])
def prefs(request, place, monkeypatch):
    cls = request.param()
    with Settings(V1, place) as before:
        settings.update(before, size=50, low=20, high=30)
    with Settings(cls, place, env_prefix="APP_") as found:
        yield found


def test_other_fields_are_set_and_the_refused_one_is_named_once(prefs):
    with blocked:
        prefs.name = "x"
    settings.update(prefs, name="y", high=25)
    with settings.edit(prefs, "recent") as recent:
        recent.append("z")
    assert settings.modify(prefs, "low", lambda low: low + 1) == 21
    settings.import_(prefs, '{"name": "imported"}', "json")
    assert settings.changed(prefs) == {"size": 50, "low": 21, "high": 25, "name": "imported", "recent": ["z"]}


def test_rules_still_hold_for_what_is_set(prefs):
    with pytest.raises(ValueError, match="size must be at most 10"):
        prefs.size = 60
    with pytest.raises(ValueError, match="low is above high"):
        prefs.high = 19
    with pytest.raises(ValueError, match="low is above high"):
        settings.update(prefs, name="x", low=40)
    with pytest.raises(ValueError, match="size must be at most 10"), settings.edit(prefs, "recent"):
        prefs.size = 12
    assert settings.changed(prefs) == {"size": 50, "low": 20, "high": 30}


@pytest.mark.parametrize("remedy", [lambda prefs: settings.reset(prefs, "size"), lambda prefs: setattr(prefs, "size", 10)])
def test_remedy_works(prefs, recwarn, remedy):
    with pytest.raises(ValueError, match=r"V2\.size is stored as 50, .*assign it, or settings\.reset\(prefs, 'size'\)"):
        settings.as_object(prefs)
    remedy(prefs)
    prefs.name = "x"
    assert (settings.as_object(prefs).name, settings.as_object(prefs).low) == ("x", 20)
    assert recwarn.list == []


def test_variables_of_other_fields_are_read(prefs, monkeypatch):
    monkeypatch.setenv("APP_NAME", "from outside")
    monkeypatch.setenv("APP_HIGH", "40")
    assert (prefs.name, prefs.high) == ("from outside", 40)
    monkeypatch.setenv("APP_HIGH", "3")
    with pytest.raises(ValueError, match=r"variable APP_HIGH is refused: .*low is above high"):
        prefs.high


def test_object_names_the_variable_that_is_refused(place, monkeypatch):
    monkeypatch.setenv("APP_SIZE", "70")
    with Settings(by_dataclass(), place, env_prefix="APP_") as prefs, pytest.raises(ValueError, match="APP_SIZE"):
        settings.as_object(prefs)
