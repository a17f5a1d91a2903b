"""`Settings` of a dataclass: reading, writing, defaults, several fields at once, opening and closing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any

import pytest
from away import is_absent
from preferences import SOME, Color, Prefs, Window

from store import Store, settings
from store.errors import ReadOnly, StorageError, StoreClosed, StoreNotFound, Untrusted
from store.settings import Settings


@pytest.fixture
def prefs(place):
    with Settings(Prefs, place) as prefs:
        yield prefs


def stored(path, namespace="settings"):
    with Store(path, namespace=namespace) as s:
        return dict(s)


def test_field_that_nobody_set_has_its_default_and_is_not_stored(prefs, place):
    assert (prefs.theme, prefs.font_size, prefs.recent) == ("dark", 14, [])
    assert stored(place) == {}
    assert settings.changed(prefs) == {}


def test_field_that_is_set_is_in_the_file_at_once(prefs, place):
    prefs.theme = "light"
    assert prefs.theme == "light"
    assert stored(place) == {"theme": "light"}
    with Settings(Prefs, place) as other:
        assert other.theme == "light"
        other.theme = "sepia"
    assert prefs.theme == "sepia"


@pytest.mark.parametrize("name", SOME)
def test_value_of_each_type_comes_back_as_it_is(prefs, place, name):
    setattr(prefs, name, SOME[name])
    found = getattr(prefs, name)
    assert found == SOME[name] and found.__class__ is type(SOME[name])
    assert settings.changed(prefs) == {name: SOME[name]}


def test_default_that_is_assigned_is_not_stored(prefs, place):
    settings.update(prefs, SOME)
    assert len(stored(place)) == len(SOME)
    settings.update(prefs, {name: getattr(Prefs(), name) for name in SOME})
    assert stored(place) == {}


def test_values_are_stored_as_plain_json(prefs, place):
    settings.update(prefs, SOME)
    with Store(place, namespace="settings", trust="own") as s:
        assert {record.name: record.codec for record in s.records() if record.codec != "json"} == {"since": "pickle"}
        assert s["window"] == {"width": 300, "title": "x"}
        assert (s["color"], s["tags"], s["position"], s["folder"]) == ("blue", ["p", "q"], [3, -4], "/x/y")


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_file_of_somebody_else_is_read_and_runs_nothing(place):
    with Settings(Prefs, place, key=b"somebody else's key") as theirs:
        settings.update(theirs, SOME)
    with Store(place, namespace="settings", key=b"somebody else's key") as s:
        s.put("proxy", print, codec="pickle")
    with Settings(Prefs, place) as prefs:
        assert {name: getattr(prefs, name) for name in SOME if name != "proxy"} == {
            name: SOME[name] for name in SOME if name != "proxy"
        }
        with pytest.raises(Untrusted):
            prefs.proxy
        prefs.proxy = "mine"  # as any value that cannot be read, it can be replaced
        assert prefs.proxy == "mine"
    with Settings(Prefs, place, trust="own") as strict, pytest.raises(Untrusted):
        strict.theme


def test_changing_what_was_assigned_changes_nothing(prefs):
    prefs.recent = given = ["x"]
    given.append("y")
    assert prefs.recent == ["x"]


def test_unknown_field_names_the_one_that_was_meant(prefs, place):
    for attempt in (
        lambda: prefs.themes, lambda: setattr(prefs, "themes", 1), lambda: delattr(prefs, "themes"),
        lambda: settings.update(prefs, themes=1, font_size=20), lambda: settings.reset(prefs, "font_size", "themes"),
        lambda: settings.edit(prefs, "themes").__enter__(), lambda: settings.modify(prefs, "themes", str),
        lambda: settings.on_change(prefs, "themes", print),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=r"^Prefs has no field 'themes'; did you mean 'theme'\?$"):
            attempt()
    with pytest.raises(AttributeError, match=r"^Prefs has no field 'zzz'$"):
        prefs.zzz
    assert not hasattr(prefs, "_private") and not hasattr(prefs, "__array__")
    assert stored(place) == {}


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("font_size", "14", r"Prefs\.font_size takes int, not '14' \(str\)"),
        ("font_size", True, r"Prefs\.font_size takes int, not True \(bool\)"),
        ("font_size", 1.0, r"Prefs\.font_size takes int, not 1.0 \(float\)"),
        ("beep", 1, r"Prefs\.beep takes bool, not 1 \(int\)"),
        ("theme", None, r"Prefs\.theme takes str, not None \(NoneType\)"),
        ("recent", ["a", 5], r"Prefs\.recent\[1\] takes str, not 5 \(int\)"),
        ("recent", "abc", r"Prefs\.recent takes list\[str\], not 'abc' \(str\)"),
        ("color", "red", r"Prefs\.color takes Color \(RED, BLUE\), not 'red' \(str\)"),
        ("window", Window("wide"), r"Prefs\.window\.width takes int, not 'wide' \(str\)"),
        ("window", {"width": 3}, r"Prefs\.window takes Window, not "),
        ("folder", "/x", r"Prefs\.folder takes Path or None, not '/x' \(str\)"),
        ("position", (1, 2, 3), r"Prefs\.position takes tuple\[int, int\], not \(1, 2, 3\) \(tuple\)"),
        ("tags", ["a"], r"Prefs\.tags takes set\[str\], not \['a'\] \(list\)"),
        ("level", "medium", r"Prefs\.level takes one of 'low', 'high', not 'medium'"),
    ],
)
def test_value_of_a_wrong_type_is_refused_and_named(prefs, place, name, value, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        setattr(prefs, name, value)
    assert stored(place) == {}


def test_int_is_fine_for_float_and_becomes_one(prefs):
    prefs.scale = 3
    assert prefs.scale == 3.0 and type(prefs.scale) is float
    with pytest.raises(ValueError, match=r"none is exactly"):
        prefs.scale = 2**53 + 1
    with pytest.raises(TypeError):
        prefs.scale = True


def test_update_is_all_or_nothing_and_names_each_bad_field(prefs, place):
    with pytest.raises(TypeError, match=r"^2 fields are refused: Prefs\.theme takes str.*; Prefs\.beep takes bool"):
        settings.update(prefs, font_size=20, theme=5, beep="no")
    assert stored(place) == {}
    settings.update(prefs, {"theme": "light"}, font_size=20)
    assert (prefs.theme, prefs.font_size) == ("light", 20)


def test_update_that_fails_half_way_writes_nothing(prefs, place, monkeypatch):
    put = Store.put

    def failing(self, name, *args, **options):
        if name == "font_size":
            raise StorageError("the disk is full")
        return put(self, name, *args, **options)

    monkeypatch.setattr(Store, "put", failing)
    with pytest.raises(StorageError):
        settings.update(prefs, theme="light", font_size=20)
    assert stored(place) == {}


def test_reset_and_del_put_the_default_back(prefs, place):
    settings.update(prefs, theme="light", font_size=20, beep=False, scale=2.0)
    settings.reset(prefs, "theme", "recent")
    del prefs.font_size
    assert (prefs.theme, prefs.font_size) == ("dark", 14)
    assert stored(place) == {"beep": False, "scale": 2.0}
    settings.reset(prefs)
    assert len(settings.changed(prefs)) == 2
    settings.reset_all(prefs)
    assert stored(place) == {}


def test_as_dict_is_all_fields_and_goes_back(prefs):
    settings.update(prefs, SOME)
    found = settings.as_dict(prefs)
    assert found == SOME and list(found) == list(SOME)
    settings.reset_all(prefs)
    assert settings.as_dict(prefs) == vars(Prefs())
    settings.update(prefs, found)
    assert settings.as_dict(prefs) == SOME


def test_as_object_is_one_of_the_class(prefs):
    prefs.theme = "light"
    assert settings.as_object(prefs) == Prefs(theme="light")
    assert settings.typed(prefs) is prefs


def test_edit_writes_back_what_changed(prefs):
    with settings.edit(prefs, "recent") as recent:
        recent.append("a")
    with settings.edit(prefs, "window") as window:
        window.width = 5
    assert (prefs.recent, prefs.window) == (["a"], Window(5))
    with pytest.raises(ZeroDivisionError), settings.edit(prefs, "recent") as recent:
        recent.append("b")
        1 / 0
    with pytest.raises(TypeError, match=r"recent\[1\] takes str"), settings.edit(prefs, "recent") as recent:
        recent.append(5)
    assert prefs.recent == ["a"]
    with pytest.raises(TypeError, match=r"cannot be changed in place.*modify\(prefs, 'theme'"), settings.edit(prefs, "theme"):
        pass


def test_modify_returns_what_it_stored(prefs):
    assert settings.modify(prefs, "font_size", lambda size: size + 1) == 15
    assert prefs.font_size == 15
    with pytest.raises(TypeError, match=r"Prefs\.font_size takes int"):
        settings.modify(prefs, "font_size", str)
    assert prefs.font_size == 15


def test_settings_of_one_file_in_two_namespaces_are_apart(place):
    with Settings(Prefs, place) as one, Settings(Prefs, place, namespace="other") as two:
        one.theme = "light"
        assert two.theme == "dark"
    assert stored(place, "other") == {} and stored(place) == {"theme": "light"}


def test_store_that_was_given_stays_open(place, clock):
    with Store(place, ttl=5, codec="pickle", clock=clock) as s:
        with Settings(Prefs, s) as prefs:
            prefs.theme = "light"
        with pytest.raises(StoreClosed):
            prefs.theme
        s["x"] = 1
        assert list(s) == ["x"]
        clock.advance(10)  # the ttl of the store is not for settings
        assert dict(s.within("settings")) == {"theme": "light"}
        with pytest.raises(TypeError, match=r"^mode are for a path"):
            Settings(Prefs, s, mode="r")


def test_in_memory_and_by_url(tmp_path):
    with Settings(Prefs, ":memory:") as prefs:
        prefs.theme = "light"
        assert settings.changed(prefs) == {"theme": "light"}
    with Settings(Prefs, f"sqlite:///{tmp_path}/u.db") as prefs:
        assert prefs.theme == "dark"


def test_wrong_options_are_told(place):
    with pytest.raises(TypeError, match="no option 'ttl'"):
        Settings(Prefs, place, ttl=5)
    with pytest.raises(ValueError, match="reset_all"):
        Settings(Prefs, place, mode="n")
    with pytest.raises(StoreNotFound):
        Settings(Prefs, place, mode="r")
    for interval in (0, -1, "fast", True):
        with pytest.raises(ValueError, match="interval is a number"):
            Settings(Prefs, place, interval=interval)
    assert is_absent(place)


def test_wrong_arguments_are_told(prefs):
    with pytest.raises(TypeError, match="a callback is a function"):
        settings.on_change(prefs, "theme", None)
    with pytest.raises(TypeError, match="name of a field is a str, not 5"):
        settings.reset(prefs, 5)
    with pytest.raises(TypeError, match="the text is a str, not bytes"):
        settings.import_(prefs, b"x = 1", "toml")
    settings.update(prefs, [("theme", "x")], font_size=3)
    assert settings.changed(prefs) == {"theme": "x", "font_size": 3}


def test_settings_inside_a_transaction_of_the_store(place):
    with Store(place) as s, Settings(Prefs, s) as prefs:
        with pytest.raises(ZeroDivisionError), s.transaction():
            prefs.theme = "light"
            assert prefs.theme == "light"
            1 / 0
        assert prefs.theme == "dark"


def test_store_with_writeback_is_refused(place):
    with Store(place, writeback=True) as s, pytest.raises(ValueError, match="stale settings: pass its path"):
        Settings(Prefs, s)


def test_settings_that_are_only_read(prefs, place):
    prefs.theme = "light"
    with Settings(Prefs, place, mode="r") as reader:
        assert reader.theme == "light"
        for attempt in (lambda: setattr(reader, "theme", "x"), lambda: settings.reset(reader, "theme")):
            with pytest.raises(ReadOnly):
                attempt()


def test_close_twice_and_use_after_close(place):
    prefs = Settings(Prefs, place)
    settings.close(prefs)
    settings.close(prefs)
    with pytest.raises(StoreClosed):
        prefs.theme
    with pytest.raises(StoreClosed):
        prefs.theme = "light"


def test_settings_are_not_copied_or_pickled(prefs):
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="by their path"):
            attempt(prefs)


def test_fields_are_in_dir_and_values_not_in_repr(prefs):
    prefs.theme = "a secret"
    assert {name for name in dir(prefs) if not name.startswith("_")} == {one.name for one in fields(Prefs)}
    assert "Settings of Prefs" in repr(prefs) and "secret" not in repr(prefs)


# -- the folder of a program


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "myapp" / "settings.db"


def test_for_app_is_in_the_configuration_directory(config):
    with settings.for_app(Prefs, "myapp") as prefs:
        prefs.theme = "light"
        assert type(prefs) is Settings
    assert stored(config) == {"theme": "light"}
    with settings.for_app(Prefs, "myapp", env_prefix="MYAPP_", mode="r") as prefs:
        assert prefs.theme == "light"


def test_for_app_without_a_class_says_how(config):
    for attempt in (lambda: settings.for_app(Prefs(), "myapp"), lambda: settings.for_app("myapp", Prefs)):
        with pytest.raises(TypeError, match=r'settings\.for_app\(Prefs, "myapp"\)'):
            attempt()
    for name in ("", "..", "a/b", "a\\b"):
        with pytest.raises(ValueError, match="plain word"):
            settings.for_app(Prefs, name)
    assert not config.parent.exists()


def test_for_app_where_no_folder_can_be_made(config):
    config.parent.parent.write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be made.*use Settings with a path"):
        settings.for_app(Prefs, "myapp")


# -- the class


def test_class_that_is_none_is_refused(place):
    class Plain:
        x: int = 1

    for wrong, advice in ((Plain, "@dataclass"), (int, "@dataclass"), (Prefs(), "class itself"), ("app.db", "class itself")):
        with pytest.raises(TypeError, match=rf"takes a dataclass, an attrs class or a pydantic model.*{advice}"):
            Settings(wrong, place)
    assert is_absent(place)


@pytest.mark.parametrize(
    "name, hint, default, message",
    [
        ("host", str, ..., r"^C\.host has no default"),
        ("_x", int, 1, r"^C\._x cannot be a field"),
        ("x", int, "one", r"^the default of C\.x is none of its own type: C\.x takes int, not 'one'"),
        ("x", complex | Store, 1j, r"^C\.x is of type Store, which Settings cannot store"),
        ("x", "Missing", 1, r"the types of C cannot be found: name 'Missing'"),
    ],
)
def test_field_that_cannot_be_kept_is_told_at_once(place, name, hint, default, message):
    made = make_dataclass("C", [(name, hint) if default is ... else (name, hint, field(default=default))])
    with pytest.raises((TypeError, ValueError), match=message):
        Settings(made, place)
    assert is_absent(place)


def test_fields_may_have_the_names_of_the_functions(place):
    names = [name for name in settings.__all__ if name not in ("Handle", "Settings")]
    with Settings(make_dataclass("C", [(name, int, 1) for name in names]), place) as prefs:
        for number, name in enumerate(names):
            setattr(prefs, name, number)
        assert [getattr(prefs, name) for name in names] == list(range(len(names)))
        settings.reset(prefs, "reset", "export")
        assert (prefs.reset, prefs.export) == (1, 1)
        assert settings.as_dict(prefs)["close"] == names.index("close")


def test_function_of_what_is_no_settings_says_so(prefs):
    for attempt in (lambda: settings.reset(Prefs(), "theme"), lambda: settings.close(prefs.theme), lambda: settings.typed(5)):
        with pytest.raises(TypeError, match=r"^the first argument is the Settings, not "):
            attempt()


def test_frozen_class_and_fields_that_are_no_arguments(place):
    @dataclass(frozen=True, kw_only=True)
    class Frozen:
        x: int = 1
        size: int = field(default=5, init=False)

    with Settings(Frozen, place) as prefs:
        prefs.x = 2
        assert settings.as_object(prefs) == Frozen(x=2)
        assert settings.as_dict(prefs) == {"x": 2}


def test_class_has_the_last_word_on_a_write(place):
    @dataclass
    class Range:
        low: int = 0
        high: int = 10

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")
            self.low = max(self.low, -100)

    with Settings(Range, place) as prefs:
        with pytest.raises(ValueError, match=r"^Range would be refused with the new values: low is above high$"):
            prefs.low = 20
        settings.update(prefs, low=20, high=30)
        with pytest.raises(ValueError, match="low is above high"):
            prefs.high = 10  # beside the low that is stored
        prefs.low = -500
        assert prefs.low == -100


# -- the class changes


@dataclass
class Later:
    theme: Color = Color.RED  # str before
    font_size: float = 10.0  # int before
    recent: tuple[str, ...] = ()  # list before
    beep: int = 3  # bool before: no number
    added: str = "new"


def test_fields_are_added_dropped_and_retyped(place):
    with Settings(Prefs, place) as old:
        settings.update(old, theme="blue", font_size=20, recent=["a"], scale=2.0, level="high")
    with Settings(Later, place) as prefs:
        assert (prefs.theme, prefs.font_size, prefs.recent, prefs.added) == (Color.BLUE, 20.0, ("a",), "new")
        assert type(prefs.font_size) is float
        assert settings.unknown(prefs) == ["level", "scale"]
        prefs.theme = Color.BLUE
        settings.reset(prefs, "scale")
        assert settings.unknown(prefs) == ["level"]
    with Settings(Prefs, place) as old:
        assert (old.theme, old.level, old.scale) == ("blue", "high", 1.0)


def test_value_that_no_longer_fits_gives_the_default_and_one_warning(place):
    with Settings(Prefs, place) as old:
        settings.update(old, theme="green", beep=False)
    with Settings(Later, place) as prefs:
        with pytest.warns(UserWarning, match=r"stored for Later\.theme, 'green', does not fit.*settings\.reset\(prefs, 'theme'\)") as told:
            assert prefs.theme is Color.RED
        assert told[0].filename == __file__
        assert prefs.theme is Color.RED  # not told again
        with pytest.warns(UserWarning, match=r"Later\.beep"):
            assert settings.changed(prefs) == {}
        assert settings.as_dict(prefs)["beep"] == 3
        assert stored(place) == {"theme": "green", "beep": False}
        prefs.theme = Color.BLUE
        assert prefs.theme is Color.BLUE
        prefs.beep = 3  # the default: what did not fit is gone
    assert stored(place) == {"theme": "blue"}


def test_default_that_changes_holds_for_what_nobody_set(place):
    with Settings(make_dataclass("C", [("x", int, 1)]), place) as old:
        old.x = 1
    with Settings(make_dataclass("C", [("x", int, 2)]), place) as new:
        assert new.x == 2


def test_type_that_cannot_tell_two_values_apart_is_refused(place):
    made = make_dataclass("C", [("x", str | Path, ""), ("y", Any, None), ("z", dict[int, str], field(default_factory=dict))])
    with Settings(made, place) as prefs:
        with pytest.raises(ValueError, match=r"^C\.x: .*Path\('a'\) would come back from the store as 'a'; give the"):
            prefs.x = Path("a")
        prefs.x = "a"
        prefs.y = {"t": (1, {2}), 5: b"x", "d": None}
        prefs.z = {1: "one"}
        assert settings.changed(prefs) == {"x": "a", "y": {"t": (1, {2}), 5: b"x", "d": None}, "z": {1: "one"}}
        with pytest.raises(TypeError, match=r"^C\.y\['k'\] takes plain data .* not .*Window"):
            prefs.y = {"k": Window()}


def test_objects_without_an_equality_and_nan_are_stored(place):
    with Settings(Odd, place) as prefs:
        settings.update(prefs, rates=[float("nan"), 1.0], point=Point(3))
        assert str(prefs.rates) == "[nan, 1.0]" and prefs.point.x == 3


@dataclass(eq=False)
class Point:
    x: int = 0


@dataclass
class Odd:
    rates: list[float] = field(default_factory=list)
    point: Point = field(default_factory=Point)


def test_union_takes_a_value_as_it_is_before_it_converts_one(place):
    with Settings(make_dataclass("C", [("n", float | int | str, 0.5)]), place) as prefs:
        for value in (3, 3.0, "3"):
            prefs.n = value
            assert prefs.n == value and type(prefs.n) is type(value)


def test_items_that_stand_twice_are_no_set(prefs):
    with pytest.raises(ValueError, match=r"^Prefs\.tags takes set\[str\], and \['a', 'a'\] has items twice$"):
        settings.import_(prefs, 'tags = ["a", "a"]', "toml")


def test_stored_value_of_shared_parts_or_of_itself_leaves_the_default(path):
    """A few hundred bytes can hold a list that has no end as text, and anybody who can write the file can store it."""
    laughs, itself = ["ha"], []
    for _ in range(60):
        laughs = [laughs] * 10
    itself.append(itself)
    with Store(path, namespace="settings") as s:
        s.update({"recent": laughs, "again": itself})
    Both = make_dataclass("Both", [("recent", list, field(default_factory=list)), ("again", list, field(default_factory=list))])
    with pytest.warns(UserWarning) as told, Settings(Both, path) as both:
        assert (both.recent, both.again) == ([], [])
    said = " ".join(str(one.message) for one in told)
    assert "its parts are shared" in said and "it holds itself" in said
