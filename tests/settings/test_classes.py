"""`Settings` of attrs classes and pydantic models: their own validation is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, NewType, Optional

import pytest
from preferences import Color

from store import Store, settings
from store.settings import Settings

Port = NewType("Port", int)


def stored(path):
    with Store(path, namespace="settings") as s:
        return dict(s)


def test_annotated_newtype_and_optional_are_what_they_stand_for(place):
    @dataclass
    class C:
        a: Annotated[int, "unit"] = 1
        b: Port = Port(80)
        c: Optional[Annotated[list[Port], "x"]] = None  # noqa: UP045

    C.__annotations__.update(a=Annotated[int, "unit"], b=Port, c=Annotated[list[Port], "x"] | None)
    with Settings(C, place) as prefs:
        settings.update(prefs, a=2, b=Port(81), c=[Port(5)])
        assert settings.as_dict(prefs) == {"a": 2, "b": 81, "c": [5]}
        with pytest.raises(TypeError, match=r"C\.c takes list\[int\] or None, not \['x'\]"):
            prefs.c = ["x"]


def test_class_that_holds_itself(place):
    with Settings(Tree, place) as prefs:
        prefs.child = Tree("a", Tree("b"))
        assert prefs.child == Tree("a", Tree("b"))
        assert stored(place) == {"child": {"name": "a", "child": {"name": "b", "child": None}}}


@dataclass
class Tree:
    name: str = ""
    child: Tree | None = None


# -- attrs


@pytest.fixture
def attrs():
    return pytest.importorskip("attrs", reason="attrs is not installed: its classes are not tested")


@pytest.fixture
def attrs_class(attrs):
    @attrs.define
    class Inner:
        _x: int = 0

    @attrs.frozen
    class C:
        size: int = attrs.field(default=10, converter=int, validator=attrs.validators.le(72))
        names: list = attrs.field(factory=list)
        half: float = attrs.field()
        inner: Inner = attrs.field(factory=Inner)
        host: str = attrs.field(default="h", validator=attrs.validators.min_len(1), alias="server")
        plain = attrs.field(default=None)
        hidden: int = attrs.field(default=1, init=False)

        @half.default
        def _(self):
            return self.size / 2

    for cls, types in ((Inner, {"_x": int}), (C, {"size": int, "names": list, "half": float, "inner": Inner, "host": str, "hidden": int})):
        cls.__annotations__ = types
    return C, Inner


def test_attrs_class(place, attrs_class):
    C, Inner = attrs_class
    with Settings(C, place) as prefs:
        assert settings.as_dict(prefs) == {"size": 10, "names": [], "half": 5.0, "inner": Inner(), "host": "h", "plain": None}
        settings.update(prefs, size="20", inner=Inner(3), names=[1], plain={"a": 1}, host="x")
        assert prefs.size == 20 and prefs.inner == Inner(3) and prefs.host == "x"
        assert settings.as_object(prefs) == C(20, [1], 5.0, Inner(3), "x", {"a": 1})
        assert stored(place)["inner"] == {"_x": 3}
        for bad in ({"size": 100}, {"size": "big"}, {"host": ""}):
            with pytest.raises(ValueError, match=r"^C would be refused with the new values: "):
                settings.update(prefs, bad)
        with pytest.raises(TypeError, match=r"C\.host takes str, not 5"):
            prefs.host = 5
        with settings.edit(prefs, "names") as names:
            names.append(2)
        assert prefs.names == [1, 2]
        settings.import_(prefs, '{"size": 30, "server": 1}'.replace('"server": 1', '"host": "y"'), "json")
        assert (prefs.size, prefs.host) == (30, "y")


def test_attrs_validator_holds_for_what_is_stored_and_for_variables(place, attrs_class, monkeypatch):
    C, _ = attrs_class
    with Store(place, namespace="settings") as s:
        s["size"] = 100
    with Settings(C, place, env_prefix="C_") as prefs:
        with pytest.warns(UserWarning, match=r"C\.size, .*, does not fit"):
            assert prefs.size == 10
        monkeypatch.setenv("C_SIZE", "99")
        with pytest.raises(ValueError, match="variable C_SIZE is refused"):
            prefs.size


def seconds(minutes):
    return minutes * 60


@pytest.fixture(params=[True, False], ids=["slots", "dict"])
def converting(attrs, request):
    """Converters that give something else each time, or cannot take what they gave."""

    @attrs.frozen(slots=request.param)
    class Inner:
        wait: int = attrs.field(default=1, converter=seconds, alias="wait_minutes")

    @attrs.define(slots=request.param)
    class C:
        wait: int = attrs.field(default=1, converter=seconds, validator=attrs.validators.le(600))
        tags: list = attrs.field(default="a,b", converter=lambda text: text.split(","))
        level: int = attrs.field(default="low", converter={"low": 1, "high": 9}.__getitem__)
        inner: Inner = attrs.field(factory=Inner)
        scaled: int = attrs.field(
            default=2, converter=attrs.Converter(lambda value, self, field: value * self.level, takes_self=True, takes_field=True)
        )
        total: int = attrs.field(init=False, default=3, converter=seconds)
        made: list = attrs.field(init=False, factory=list)

        def __attrs_pre_init__(self):
            object.__setattr__(self, "total", 0)

        def __attrs_post_init__(self):
            self.made.append(self.wait)

    for cls, types in ((Inner, {"wait": int}), (C, {"wait": int, "tags": list[str], "level": int, "inner": Inner, "scaled": int})):
        cls.__annotations__ = types
    return C, Inner


def test_attrs_converter_is_for_what_is_assigned_and_not_for_what_is_held(place, converting):
    C, Inner = converting
    held = {"wait": 300, "tags": ["x", "y"], "level": 9, "inner": Inner(7), "scaled": 27}
    with Settings(C, place) as prefs:
        assert settings.as_object(prefs) == C() and prefs.wait == 60
        settings.update(prefs, wait=5, tags="x,y", level="high", inner=Inner(7), scaled=3)
        assert settings.as_dict(prefs) == held and prefs.inner.wait == 420
        prefs.wait = 6  # beside values that are held
        prefs.wait = 5
        assert settings.as_dict(prefs) == held
        made = settings.as_object(prefs)
        assert {name: getattr(made, name) for name in held} == held
        assert (made.total, made.made) == (180, [300])
        with pytest.raises(ValueError, match=r"^C would be refused .*: 'wait' must be <= 600: 660"):
            prefs.wait = 11
        assert settings.modify(prefs, "wait", lambda wait: 7) == 420
        prefs.wait = 5
    with Settings(C, place) as prefs:
        assert settings.as_dict(prefs) == held
        assert stored(place)["inner"] == {"wait": 420}


def test_attrs_value_that_is_edited_in_place_is_not_converted_once_more(place, converting):
    C, _ = converting
    with Settings(C, place) as prefs:
        prefs.tags = "x,y"
        with settings.edit(prefs, "tags") as tags:
            tags.append("z")
        assert prefs.tags == ["x", "y", "z"]
        with pytest.raises(TypeError, match=r"C\.tags\[3\] takes str, not 5"), settings.edit(prefs, "tags") as tags:
            tags.append(5)
        with settings.edit(prefs, "inner"):
            pass
        assert prefs.inner.wait == 60
        assert stored(place) == {"tags": ["x", "y", "z"]}


def test_attrs_converter_that_refuses_names_the_field(place, converting):
    C, _ = converting
    with Settings(C, place) as prefs:
        for bad, message in (({"level": "none"}, "level: 'none'"), ({"tags": 5}, "tags: 'int' object has no attribute 'split'")):
            with pytest.raises(ValueError, match=f"^C would be refused with the new values: {message}$"):
                settings.update(prefs, bad)
        with pytest.raises(TypeError, match=r"new values: scaled: "):
            prefs.scaled = None
        assert settings.changed(prefs) == {}


def test_attrs_import_is_an_assignment(place, converting):
    C, _ = converting
    with Settings(C, place) as prefs:
        settings.import_(prefs, '{"wait": 2, "inner": {"wait": 3}}', "json")
        assert (prefs.wait, prefs.inner.wait) == (120, 180)


def test_attrs_converter_holds_for_variables(place, converting, monkeypatch):
    C, _ = converting
    with Settings(C, place, env_prefix="C_") as prefs:
        prefs.level = "high"
        for name, text, value in (("wait", "3", 180), ("tags", "p,q", ["p", "q"]), ("level", "low", 1), ("scaled", "4", 36)):
            monkeypatch.setenv(f"C_{name.upper()}", text)
            assert getattr(prefs, name) == value
            assert settings.as_dict(prefs, with_env=True)[name] == value
            assert getattr(settings.as_object(prefs), name) == value
            monkeypatch.delenv(f"C_{name.upper()}")
        monkeypatch.setenv("C_INNER", '{"wait": 2}')
        assert prefs.inner.wait == 120 and settings.as_object(prefs).inner.wait == 120
        for name, text, message in (("WAIT", "11", "'wait' must be <= 600: 660"), ("LEVEL", "none", "takes int, not 'none'")):
            monkeypatch.setenv(f"C_{name}", text)
            with pytest.raises(ValueError, match=rf"^the environment variable C_{name} is refused: C\.{name.lower()}:? {message}.*; correct it"):
                getattr(prefs, name.lower())
        assert prefs.inner.wait == 120  # whatever the others are
        assert settings.changed(prefs) == {"level": 9}


@pytest.mark.parametrize("slots", [True, False])
def test_attrs_object_that_keeps_its_hash_has_one(place, attrs, slots):
    @attrs.frozen(slots=slots, cache_hash=True, unsafe_hash=True)
    class C:
        wait: int = attrs.field(default=1, converter=seconds)

    C.__annotations__ = {"wait": int}
    with Settings(C, place) as prefs:
        prefs.wait = 2
        assert hash(settings.as_object(prefs)) == hash(C(2))


def test_attrs_class_with_an_init_of_its_own_is_called(place, attrs):
    @attrs.define
    class C:
        wait: int = attrs.field(default=1, converter=int)

        def __init__(self, wait=1):
            self.__attrs_init__(wait)

    C.__annotations__ = {"wait": int}
    with Settings(C, place) as prefs:
        prefs.wait = "5"
        assert (prefs.wait, settings.as_object(prefs)) == (5, C(5))


# -- pydantic


@pytest.fixture
def pydantic():
    return pytest.importorskip("pydantic", reason="pydantic is not installed: its models are not tested")


@pytest.fixture
def model(pydantic):
    class Inner(pydantic.BaseModel):
        x: int = 0

    class M(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
        size: int = pydantic.Field(default=10, ge=1, le=72, alias="fontSize")
        theme: str = "dark"
        inner: Inner = Inner()
        since: datetime | None = None
        color: Color = Color.RED
        names: list[str] = pydantic.Field(default_factory=list)
        low: int = 0
        high: int = 10
        secret: pydantic.SecretStr | None = None

        @pydantic.field_validator("theme")
        @classmethod
        def lower(cls, value):
            if value == "bad":
                raise ValueError("that is bad")
            return value.lower()

        @pydantic.model_validator(mode="after")
        def ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    M.model_rebuild(_types_namespace={"Inner": Inner, "datetime": datetime, "Color": Color, "pydantic": pydantic})
    return M, Inner


def test_pydantic_model_validates_what_is_written(place, model):
    M, Inner = model
    with Settings(M, place) as prefs:
        assert settings.as_object(prefs) == M()
        settings.update(prefs, size="20", theme="LIGHT", inner=Inner(x=2), since=datetime(2020, 1, 1), color="blue", names=["a"])
        assert (prefs.size, prefs.theme, prefs.inner, prefs.color) == (20, "light", Inner(x=2), Color.BLUE)
        assert prefs.since == datetime(2020, 1, 1) and settings.as_object(prefs).since == prefs.since
        prefs.inner = {"x": 5}
        assert prefs.inner == Inner(x=5)
        for bad, message in (
            ({"size": 100}, r"size: Input should be less than or equal to 72, not 100"),
            ({"size": "big"}, "size: Input should be a valid integer.*not 'big'"),
            ({"theme": "bad"}, "theme: Value error, that is bad, not 'bad'"), ({"low": 20}, "low is above high"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=message):
                settings.update(prefs, bad)
        settings.update(prefs, low=20, high=30)
        with pytest.raises(ValueError, match="low is above high"):
            prefs.high = 15
        with pytest.raises(AttributeError, match="did you mean 'theme'"):
            prefs.thme = 1
        with pytest.raises(ValueError, match=r"^M\.secret: .*would come back"):
            prefs.secret = "hush"
    with Store(place, namespace="settings") as s:
        assert {record.codec for record in s.records()} == {"json"}
        assert s["inner"] == {"x": 5} and s["since"] == "2020-01-01T00:00:00"


def test_pydantic_model_holds_for_what_is_stored_imported_and_in_variables(place, model, monkeypatch):
    M, Inner = model
    with Store(place, namespace="settings") as s:
        s["size"] = 100
    with Settings(M, place, env_prefix="M_") as prefs:
        with pytest.warns(UserWarning, match=r"M\.size, .*, does not fit \(M\.size: Input should be less"):
            assert prefs.size == 10
        settings.import_(prefs, '{"size": 30, "inner": {"x": 7}, "since": "2020-01-01"}', "json")
        assert (prefs.size, prefs.inner) == (30, Inner(x=7))
        with pytest.raises(ValueError, match=r"^2 fields are refused: M\.size: .*; M\.inner\.x: "):
            settings.import_(prefs, '{"size": 300, "inner": {"x": "y"}}', "json")
        text = settings.export(prefs, "json")
        settings.import_(prefs, text, "json")
        assert settings.export(prefs, "json") == text
        monkeypatch.setenv("M_SIZE", "40")
        monkeypatch.setenv("M_INNER", '{"x": 9}')
        assert (prefs.size, prefs.inner) == (40, Inner(x=9))
        monkeypatch.setenv("M_SIZE", "400")
        with pytest.raises(ValueError, match=r"^the environment variable M_SIZE is refused: M\.size: "):
            prefs.size
        settings.reset_all(prefs)
    assert stored(place) == {}


@pytest.fixture
def validating(pydantic):
    """Validators of every kind, that change values."""

    class M(pydantic.BaseModel):
        name: str = "a"
        size: int = pydantic.Field(default=10, le=72)
        wait: int = 60
        tags: Annotated[list[str], pydantic.BeforeValidator(lambda text: text.split("+") if isinstance(text, str) else text)] = []
        path: Annotated[str, pydantic.AfterValidator(lambda text: text.removesuffix("/"))] = "x"
        twice: Annotated[int, pydantic.AfterValidator(lambda number: min(number * 2, 80))] = 0
        low: int = 0
        high: int = 10

        @pydantic.field_validator("name")
        @classmethod
        def lower(cls, value):
            if value == "bad":
                raise ValueError("that is bad")
            return value.lower()

        @pydantic.field_validator("size", mode="before")
        @classmethod
        def at_most(cls, value):
            return min(value, 72)

        @pydantic.field_validator("wait", mode="before")
        @classmethod
        def in_seconds(cls, value):
            return int(value.removesuffix("m")) * 60 if isinstance(value, str) and value.endswith("m") else value

        @pydantic.model_validator(mode="after")
        def ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    return M


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("name", "LIGHT", "light"), ("size", "100", 72), ("size", "5", 5), ("wait", "5m", 300), ("wait", "90", 90),
        ("tags", "a+b", ["a", "b"]), ("tags", '["a+b"]', ["a+b"]), ("path", "/a/", "/a"), ("name", "[X", "[x"), ("twice", "5", 10),
    ],
)  # fmt: skip
def test_pydantic_validators_hold_for_variables(place, validating, monkeypatch, name, text, value):
    monkeypatch.setenv(f"M_{name.upper()}", text)
    with Settings(validating, place, env_prefix="M_") as prefs:
        assert getattr(prefs, name) == value
        assert settings.as_dict(prefs, with_env=True)[name] == value
        assert settings.changed(prefs) == {}


def test_pydantic_variable_that_a_validator_refuses_names_variable_and_field(place, validating, monkeypatch):
    monkeypatch.setenv("M_NAME", "bad")
    with Settings(validating, place, env_prefix="M_") as prefs:
        with pytest.raises(ValueError, match=r"^the environment variable M_NAME is refused: M\.name: Value error, that is bad, not 'bad'; correct"):
            prefs.name
        assert prefs.size == 10


def test_variables_are_judged_together(place, validating, monkeypatch):
    monkeypatch.setenv("M_LOW", "20")
    with Settings(validating, place, env_prefix="M_") as prefs:
        with pytest.raises(ValueError, match=r"M_LOW is refused: M\.low: Value error, low is above high"):
            prefs.low
        monkeypatch.setenv("M_HIGH", "30")
        assert (prefs.low, prefs.high) == (20, 30)
        assert settings.as_object(prefs).high == 30
        monkeypatch.setenv("M_SIZE", "big")
        monkeypatch.setenv("M_LOW", "1")
        assert (prefs.low, prefs.high) == (1, 30)  # whatever the size is


def test_post_init_holds_for_variables(place, monkeypatch):
    @dataclass
    class C:
        name: str = "a"

        def __post_init__(self):
            if self.name == "bad":
                raise ValueError("that is bad")
            self.name = self.name.lower()

    C.__annotations__["name"] = str
    with Settings(C, place, env_prefix="C_") as prefs:
        monkeypatch.setenv("C_NAME", "ABC")
        assert prefs.name == "abc"
        monkeypatch.setenv("C_NAME", "bad")
        with pytest.raises(ValueError, match=r"C_NAME is refused: C\.name: that is bad; correct"):
            prefs.name


def test_pydantic_model_without_a_default_is_refused(place, pydantic):
    made = pydantic.create_model("M", host=(str, ...))
    with pytest.raises(TypeError, match=r"^M\.host has no default"):
        Settings(made, place)


def test_pydantic_model_inside_a_dataclass(place, pydantic):
    made = pydantic.create_model("Inner", x=(int, 0))

    @dataclass
    class C:
        inner: object = field(default_factory=made)

    C.__annotations__["inner"] = made
    with Settings(C, place) as prefs:
        prefs.inner = made(x=5)
        assert prefs.inner == made(x=5)
        assert stored(place) == {"inner": {"x": 5}}


def test_mutable_default_of_a_class_is_copied(place):
    attrs = pytest.importorskip("attrs", reason="attrs is not installed: its defaults are not tested")

    @attrs.define
    class Lists:
        x: list[int] = [1]

    with Settings(Lists, place) as prefs:
        with settings.edit(prefs, "x") as x:
            x.append(2)
        assert settings.changed(prefs) == {"x": [1, 2]}
        assert Lists().x == [1]
    with Settings(Lists, place) as prefs:
        assert prefs.x == [1, 2]


def test_pydantic_model_with_an_alias_inside(place):
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: its aliases are not tested")

    class Inner(pydantic.BaseModel):
        a: int = pydantic.Field(1, alias="AA")

    class Outer(pydantic.BaseModel):
        inner: Inner = Inner()

    with Settings(Outer, place) as prefs:
        prefs.inner = Inner(AA=4)
        assert prefs.inner.a == 4
        settings.import_(prefs, settings.export(prefs, "json"), "json")
    with Settings(Outer, place) as prefs:
        assert prefs.inner.a == 4
