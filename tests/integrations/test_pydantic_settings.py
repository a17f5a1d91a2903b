"""`StoreSettingsSource`: where it stands among the sources, what it reads, and that it writes nothing."""

from __future__ import annotations

import enum
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store import Store, settings
from store.errors import NotAStore, StoreNotFound, Tampered

pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed: pydantic-settings is not tested")
ps = pytest.importorskip("pydantic_settings", reason="pydantic-settings is not installed: its adapter is not tested")

from store.integrations.pydantic_settings import StoreSettingsSource  # noqa: E402


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Window(pydantic.BaseModel):
    width: int = 80
    height: int = pydantic.Field(25, alias="rows")


class Prefs(pydantic.BaseModel):
    """What a program keeps by `Settings`."""

    theme: str = "dark"
    since: datetime = datetime(2020, 1, 1)
    every: timedelta = timedelta(1)
    colour: Colour = Colour.RED
    folder: Path = Path("/")
    numbers: set[int] = set()
    data: bytes = b""
    window: Window = Window()


FULL = {
    "theme": "light", "since": datetime(2021, 2, 3), "every": timedelta(2.5), "colour": Colour.BLUE,
    "folder": Path("/x"), "numbers": {1, 2}, "data": b"abc", "window": Window(width=5, rows=6),
}  # fmt: skip


def made(location: Any, fields: Any = Prefs, **options: Any) -> Any:
    """A class of `BaseSettings` with these fields, whose last source is the store."""

    class AppSettings(ps.BaseSettings, fields):
        model_config = ps.SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__", secrets_dir=options.pop("secrets", None))

        @classmethod
        def settings_customise_sources(cls, settings_cls, **sources):
            return *sources.values(), StoreSettingsSource(settings_cls, location, **options)

    return AppSettings


def stored(location: Any, **values: Any) -> None:
    with settings.Settings(Prefs, location) as prefs:
        settings.update(prefs, **values)


def test_reads_what_settings_has_written(place):
    stored(place, **FULL)
    assert made(place)().model_dump() == Prefs(**FULL).model_dump()


def test_reads_anew_for_each_object(place):
    cls = made(place)
    stored(place, theme="light")
    assert cls().theme == "light"
    stored(place, theme="sepia")
    assert cls().theme == "sepia"


def test_arguments_variables_and_secrets_win_and_defaults_do_not(place, monkeypatch, tmp_path):
    stored(place, **FULL)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "app_data").write_text("secret")
    monkeypatch.setenv("APP_THEME", "env")
    cls = made(place, secrets=secrets)
    assert (cls().theme, cls(theme="given").theme, cls().data, cls().colour) == ("env", "given", b"secret", Colour.BLUE)


def test_variable_for_a_part_of_an_object_keeps_the_other_parts(place, monkeypatch):
    stored(place, **FULL)
    monkeypatch.setenv("APP_WINDOW__WIDTH", "99")
    assert made(place)().window == Window(width=99, rows=6)


def test_variable_is_never_written(place, monkeypatch):
    stored(place, theme="light")
    monkeypatch.setenv("APP_THEME", "env")
    made(place)()
    with Store(place, namespace="settings") as s:
        assert (dict(s), s.record("theme").revision) == ({"theme": "light"}, 1)


def test_missing_file_is_no_values_and_is_not_made(path):
    assert made(path)().theme == "dark"
    assert made(path.parent / "nowhere" / "app.db")().theme == "dark"
    assert list(path.parent.iterdir()) == []


def test_store_without_settings_is_no_values(place):
    with Store(place) as s:
        s["theme"] = "of another namespace"
    assert made(place)().theme == "dark"


def test_field_without_a_default_may_be_stored(place):
    class Required(pydantic.BaseModel):
        token: str

    with pytest.raises(pydantic.ValidationError, match="token"):
        made(place, Required)()
    with Store(place, namespace="settings") as s:
        s["token"], s["of_another_program"] = "x", 1
    assert made(place, Required)().model_dump() == {"token": "x"}


def test_aliases_of_fields(place, monkeypatch):
    class Named(pydantic.BaseModel):
        plain: int = pydantic.Field(0, alias="other")
        choice: int = pydantic.Field(0, validation_alias=pydantic.AliasChoices("first", "second"))
        path: int = pydantic.Field(0, validation_alias=pydantic.AliasPath("outer", "inner"))

    with Store(place, namespace="settings") as s:
        s.update(plain=1, choice=2, path=3)
    cls = made(place, Named)
    assert cls().model_dump() == {"plain": 1, "choice": 2, "path": 3}
    monkeypatch.setenv("second", "9")
    assert (cls().choice, cls(other=8).plain) == (9, 8)


def test_value_that_does_not_fit_says_which_record_and_what_to_do(place):
    with Store(place, namespace="settings") as s:
        s["theme"] = [3]
        with pytest.raises(ps.SettingsError, match=r"AppSettings\.theme in .* does not fit .*record 'theme' .*delete it") as e:
            made(place)()
        assert s.location in str(e.value)
        del s["theme"]
        assert made(place)().theme == "dark"


def test_open_store_stays_open(place):
    stored(place, theme="light")
    with Store(place) as s:
        assert made(s)().theme == "light"
        assert len(s) == 0


def test_own_namespace(place):
    with settings.Settings(Prefs, place, namespace="mine") as prefs:
        prefs.theme = "light"
    assert (made(place, namespace="mine")().theme, made(place)().theme) == ("light", "dark")


@pytest.mark.damaged
def test_what_is_no_store_is_an_error(path):
    path.write_text("theme = 'light'")
    with pytest.raises(NotAStore):
        made(path)()


@pytest.mark.damaged
def test_forged_record_is_an_error(path):
    stored(path, theme="light")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE records SET body = CAST('\"evil\"' AS BLOB)")
    with pytest.raises(Tampered):
        made(path)()


def test_source_reads_only(path):
    with pytest.raises(TypeError, match="reads only"):
        StoreSettingsSource(made(path), path, mode="w")
    with pytest.raises(TypeError, match="no option 'tust'; did you mean 'trust'"):
        StoreSettingsSource(made(path), path, tust="own")()
    with pytest.raises(StoreNotFound), Store(path, mode="r"):
        pass


def test_source_by_itself(path):
    stored(path, theme="light")
    cls = made(path)
    source = StoreSettingsSource(cls, path)
    assert source() == {"theme": "light"}
    assert source.get_field_value(cls.model_fields["theme"], "theme") == ("light", "theme", False)
    assert source.get_field_value(cls.model_fields["data"], "data") == (None, "data", False)
    assert repr(source) == "StoreSettingsSource(namespace='settings')"
