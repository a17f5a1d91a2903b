"""Settings in a form that is made of their types: what is typed is checked, and other writers lose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag, IntFlag, auto
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from browsed_forms import Form, forms_in

from store import Store, settings
from store.web.forms import form_page, namespace_forms, submit
from store.web.forms.settings.inputs import Flags
from store.web.links import Links
from store.web.routing import page_of
from store.web.site import Page, Redirect, Site


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Right(Flag):
    READ = auto()
    WRITE = auto()


class Mode(IntFlag):
    READ = 1
    WRITE = 2


@dataclass
class Rights:
    mode: Mode = Mode.READ | 8


@dataclass
class Window:
    width: int = 800


@dataclass
class Prefs:
    theme: str = "dark"
    size: int = 14
    scale: float = 1.0
    beep: bool = True
    level: Literal["low", "high", 3] = "low"
    color: Color = Color.RED
    other: Color | None = None
    rights: Right = Right.READ
    folder: Path | None = None
    proxy: str | None = None
    most: int | None = None
    quiet: bool | None = None
    since: date = date(2024, 1, 1)
    pause: timedelta = timedelta(seconds=1)
    price: Decimal = Decimal("1.50")
    recent: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    window: Window = field(default_factory=Window)
    data: bytes = b""


@dataclass
class Pair:
    low: int = 0
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@pytest.fixture
def site(s: Store) -> Site:
    return Site(s, Links("/token"), writable=True, schemas=(Prefs, Pair))


def form_of(site: Site, **query: str) -> Form:
    page = form_page(site, "settings", query)
    assert page.status == 200, page.body
    return forms_in(page.body)["settings"]


def key_of(form: Form, name: str) -> str:
    """The field of the form that holds the text of a setting."""
    number = next(n for n in range(len(form.fields)) if f'"{name}"' in form.fields[f"target.{n}"])
    return f"value.{number}"


def refused(found: Page | Redirect, status: int, says: str) -> Form:
    assert isinstance(found, Page)
    assert (found.status, says in found.body) == (status, True), found.body
    return forms_in(found.body)["settings"]


def stored(site: Site, schema: type = Prefs) -> dict[str, Any]:
    with site.store.within("settings") as s:
        prefs = settings.Settings(schema, s)
        try:
            return settings.changed(prefs)
        finally:
            settings.close(prefs)


TYPED = [
    ("theme", "light", "light"), ("size", "20", 20), ("scale", "2", 2.0), ("scale", "1e-7", 1e-7),
    ("beep", None, False), ("rights", "READ|WRITE", Right.READ | Right.WRITE), ("folder", "/tmp/a b", Path("/tmp/a b")),
    ("proxy", "http://x", "http://x"), ("most", "5", 5), ("since", "2025-02-03", date(2025, 2, 3)),
    ("price", "2.25", Decimal("2.25")), ("recent", '["a", "b\\n"]', ["a", "b\n"]), ("tags", '["x"]', {"x"}),
    ("window", '{"width": 5}', Window(5)), ("data", "AP8=", b"\x00\xff"), ("pause", "2.5", timedelta(seconds=2.5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), TYPED, ids=lambda part: str(part)[:12])
def test_typed_value_is_stored_and_shown_again(site: Site, name: str, text: str | None, value: object) -> None:
    form = form_of(site)
    assert isinstance(submit(site, "settings", form.sent(**{key_of(form, name): text})), Redirect)
    assert stored(site) == {name: value}
    again = form_of(site)
    assert isinstance(submit(site, "settings", again.sent()), Redirect)
    assert stored(site) == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("level", "high", "high"), ("level", "3", 3), ("color", "BLUE", Color.BLUE), ("other", "RED", Color.RED),
     ("quiet", "false", False)],
)  # fmt: skip
def test_choice_is_stored_and_shown_again(site: Site, name: str, text: str, value: object) -> None:
    form = form_of(site)
    key = key_of(form, name)
    chosen = next(number for number, shown in form.options[key] if shown == text)
    submit(site, "settings", form.sent(**{key: chosen}))
    assert stored(site) == {name: value}
    assert form_of(site).fields[key] == chosen


def test_flag_with_bits_that_have_no_name_keeps_them(s: Store) -> None:
    assert not Flags(Mode).holds(9) and Flags(Mode).holds(3) and Flags(Mode).holds(0)
    assert not Flags(Right).holds(9), "a class that refuses them"
    form = form_of(Site(s, Links("/token"), writable=True, schemas=(Rights,)))
    assert form.fields[key_of(form, "mode")] == "9"


def test_controls_are_those_of_the_types(site: Site) -> None:
    form = form_of(site)
    kinds = {name: form.types.get(key_of(form, name)) for name in ("theme", "size", "scale", "beep", "recent")}
    assert kinds == {"theme": "text", "size": "number", "scale": "number", "beep": "checkbox", "recent": "textarea"}
    assert form.buttons[0] == (None, None), "the Enter key presses the first button, which must not reset anything"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("size", "1.5", "takes int"), ("size", "", "Type a whole number"), ("scale", "wide", "Type a number"),
     ("recent", "a, b", "is not JSON"), ("recent", '{"a": 1}', "takes list"), ("window", '{"widht": 1}', "did you mean"),
     ("level", "7", "Choose one of low, high, 3. The value is"), ("color", "x", "Choose one of RED, BLUE"), ("since", "soon", "takes date"),
     ("rights", "EXECUTE", "not one of READ, WRITE"), ("data", "é", "takes bytes")],
)  # fmt: skip
def test_refused_text_is_kept_with_the_reason_beside_it(site: Site, name: str, text: str, says: str) -> None:
    form = form_of(site)
    typed = {key_of(form, name): text, key_of(form, "theme"): "light"}
    again = refused(submit(site, "settings", form.sent(**typed)), 400, says)
    assert stored(site) == {}
    assert {key: again.fields.get(key) for key in typed if key not in again.options} == {
        key: text for key, text in typed.items() if key not in again.options
    }


def test_class_that_refuses_values_together(site: Site) -> None:
    form = form_of(site, schema=f"{__name__}:Pair")
    again = refused(submit(site, "settings", form.sent(**{key_of(form, "low"): "20"})), 400, "low is above high")
    typed = {key_of(form, "low"): "20", key_of(form, "high"): "5"}
    again = refused(submit(site, "settings", again.sent(**typed)), 400, "low is above high")
    assert isinstance(submit(site, "settings", again.sent(**{key_of(form, "high"): "30"})), Redirect)
    assert stored(site, Pair) == {"low": 20, "high": 30}


def test_other_fields_of_another_writer_are_not_overwritten(site: Site) -> None:
    form = form_of(site)
    with settings.Settings(Prefs, site.store) as prefs:
        prefs.size = 99
    assert isinstance(submit(site, "settings", form.sent(**{key_of(form, "theme"): "light"})), Redirect)
    assert stored(site) == {"size": 99, "theme": "light"}


def test_conflict_shows_both_and_keeps_everything_typed(site: Site) -> None:
    form = form_of(site)
    with settings.Settings(Prefs, site.store) as prefs:
        prefs.theme = "sepia"
    typed = {key_of(form, "theme"): "light", key_of(form, "size"): "20"}
    again = refused(submit(site, "settings", form.sent(**typed)), 409, "&#x27;sepia&#x27; now")
    assert stored(site) == {"theme": "sepia"}
    assert {key: again.fields[key] for key in typed} == typed
    assert isinstance(submit(site, "settings", again.sent()), Redirect)
    assert stored(site) == {"theme": "light", "size": 20}


def test_reset_gives_the_default_and_keeps_other_changes_in_the_form(site: Site) -> None:
    with settings.Settings(Prefs, site.store) as prefs:
        prefs.theme = "light"
    form = form_of(site)
    reset = next(value for name, value in form.buttons if name == "reset")
    assert isinstance(reset, str)
    typed = {key_of(form, "size"): "20"}
    again = refused(submit(site, "settings", form.sent(reset=reset, **typed)), 200, "not saved yet")
    assert stored(site) == {}
    assert again.fields[key_of(form, "theme")] == "dark"
    assert again.fields[key_of(form, "size")] == "20"
    refused(submit(site, "settings", form.sent(reset=reset)), 409, "has no stored value any more")
    assert submit(site, "settings", form.sent(reset="99")) != again


def test_stored_value_that_does_not_fit_is_named_and_replaced(site: Site) -> None:
    with site.store.within("settings") as s:
        s["size"] = "large"
        s["old"] = 1
    page = form_page(site, "settings", {})
    assert "does not fit, and the default holds" in page.body
    assert "no fields of the class" in page.body
    form = forms_in(page.body)["settings"]
    assert isinstance(submit(site, "settings", form.sent(**{key_of(form, "size"): "15"})), Redirect)
    assert stored(site) == {"size": 15}


STORED: dict[str, Any] = {
    "flag": True, "count": 3, "big": 2**60, "ratio": 0.5, "name": "x", "two lines": "a\nb", "nothing": None, "odd\u202e": "\x00",
    "list": [1, "a"], "set": {1, 2}, "map": {"a": [None]}, "when": datetime(2024, 1, 2, tzinfo=UTC), "id": UUID(int=5),
    "raw": b"\x00", "span": timedelta(seconds=3), "money": Decimal("1.10"), "pair": (1, 2),
}  # fmt: skip


def test_without_a_class_the_types_are_those_of_the_stored_values(s: Store) -> None:
    site = Site(s, Links("/token"), writable=True)
    with s.within("settings") as inner:
        inner.update({**STORED, "object": frozenset((1,)), "complex keys": {(1, 2): 3}})
        versions = {record.name: record.version for record in inner.records()}
    page = form_page(site, "settings", {})
    form = forms_in(page.body)["settings"]
    assert isinstance(submit(site, "settings", form.sent()), Redirect)
    with s.within("settings") as inner:
        assert {record.name: record.version for record in inner.records()} == versions, "nothing was changed"
    number = {form.fields[f"target.{n}"]: n for n in range(len(STORED) + 2)}
    texts = {"flag": None, "count": "4", "two lines": "a\n\nb", "list": "[2]", "set": "[3]", "raw": "AQ==", "name": "y"}
    typed = {f"value.{n}": text for name, text in texts.items() for key, n in number.items() if f'"{name}"' in key}
    assert isinstance(submit(site, "settings", form.sent(**typed)), Redirect)
    with s.within("settings") as inner:
        changes = {"flag": False, "count": 4, "two lines": "a\n\nb", "list": [2], "set": {3}, "raw": b"\x01", "name": "y"}
        for name, value in {**STORED, **changes}.items():
            assert (name, inner[name], type(inner[name])) == (name, value, type(value))


def test_setting_deleted_meanwhile_leaves_the_typed_text_on_the_page(s: Store) -> None:
    site = Site(s, Links("/token"), writable=True)
    with s.within("settings") as inner:
        inner.update({"a": "one", "b": "two"})
        form = form_of(site)
        del inner["a"]
        again = refused(submit(site, "settings", form.sent(**{key_of(form, "a"): "mine"})), 409, "<pre>mine</pre>")
        assert "mine" not in again.fields.values()


def test_unknown_class_and_crafted_forms(site: Site) -> None:
    assert form_page(site, "settings", {"schema": "os:system"}).status == 400
    form = form_of(site)
    for crafted in ({"schema": "x"}, {"as.0": "pickle", "value.0": "x"}, {"target.0": '["settings", "x", null]', "value.0": "y"}):
        found = submit(site, "settings", form.sent(**crafted))
        assert isinstance(found, Page)
        assert found.status == 400
    assert stored(site) == {}


def test_text_out_of_the_store_is_escaped(s: Store) -> None:
    site = Site(s, Links("/token"), writable=True)
    with s.within("settings") as inner:
        inner["</textarea><script>"] = "</textarea><script>\n"
        inner['" autofocus onfocus="x'] = '" autofocus onfocus="x'
    page = form_page(site, "settings", {})
    assert "<script" not in page.body
    assert ' onfocus="x' not in page.body
    assert "settings" in (namespace_forms(site, "settings") or "")


@pytest.mark.slow
def test_form_of_long_names_and_texts_is_bounded(s: Store) -> None:
    """A crafted store may have names of any length, and a form is sent back as a whole."""
    s["a" * 10_000] = 1
    s.update({f"text {n:02}": '"' * 60_000 for n in range(20)})
    s["zoom"] = 2
    site = Site(s, Links("/token"), writable=True)
    page = form_page(site, "settings", {"namespace": ""})
    assert len(page.body) < 8_000_000 and "a" * 1000 not in page.body
    assert "too long for a form" in page.body and "too long for this form" in page.body
    form = forms_in(page.body)["settings"]
    assert isinstance(submit(site, "settings", form.sent(**{key_of(form, "zoom"): "3"})), Redirect)
    assert s["zoom"] == 3 and s["a" * 10_000] == 1


def test_question_about_a_prefix_has_no_long_names(s: Store) -> None:
    s["a" * 10_000] = 1
    page = form_page(Site(s, Links("/token"), writable=True), "delete", {"namespace": "", "prefix": "a"})
    assert "Delete 1 record" in page.body and "a" * 1000 not in page.body


@pytest.mark.parametrize("schema", [True, False], ids=["of a class", "of what is stored"])
def test_values_of_shared_parts_and_of_themselves_do_not_stop_the_form(s: Store, schema: bool) -> None:
    """Anybody who can write the file can store these, and as text they have no end."""
    laughs: list[Any] = ["ha"]
    for _ in range(60):
        laughs = [laughs] * 10
    itself: list[Any] = []
    itself += [itself, itself]
    with s.within("settings") as stored:
        stored.update({"recent": laughs, "window": {"width": itself}, "tags": itself, "theme": "light"})
    site = Site(s, Links("/token"), writable=True, schemas=(Prefs,) if schema else ())
    page = form_page(site, "settings", {"namespace": "settings"})
    assert page.status == 200 and "too large for a form" in page.body and len(page.body) < 100_000
    form = forms_in(page.body)["settings"]
    assert isinstance(submit(site, "settings", form.sent(**{key_of(form, "theme"): "dark"})), Redirect)


@pytest.mark.parametrize("schemas", [(Prefs,), ()], ids=["of a class", "of what is stored"])
def test_number_of_too_many_digits_does_not_stop_the_form(s: Store, schemas: tuple[type, ...]) -> None:
    with s.within("settings") as stored:
        stored.update({"size": 10**10_000, "theme": "light"})
    page = form_page(Site(s, Links("/token"), writable=True, schemas=schemas), "settings", {"namespace": "settings"})
    assert page.status == 200 and "size" in page.body and "light" in page.body


def test_page_without_settings_says_how_there_are_some(s: Store) -> None:
    body = page_of(Site(s, Links("/t"), writable=True), "settings", {}).body
    assert "No settings are stored here." in body and "<code>store settings set</code>" in body and "--settings" in body
