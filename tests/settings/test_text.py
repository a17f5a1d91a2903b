"""Settings as TOML, JSON and YAML: out, in, what a format lacks, and what is refused."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any
from uuid import UUID

import pytest
from preferences import SOME, Color, Prefs, Window

from store import settings
from store.codecs import codecs
from store.errors import CodecUnavailable, StoreClosed
from store.settings import Settings

NEEDS = {"toml": "tomli_w", "yaml": "yaml", "json": "json"}


@pytest.fixture(params=NEEDS)
def format(request):
    pytest.importorskip(NEEDS[request.param], reason=f"{NEEDS[request.param]} is not installed: not tested")
    return request.param


@pytest.fixture
def prefs(place):
    with Settings(Prefs, place) as prefs:
        yield prefs


class Rights(Flag):
    READ = 1
    WRITE = 2


class Shape(Enum):
    ROUND = (1, 2)
    SQUARE = (3, 4)


@dataclass
class Rich:
    blob: bytes = b""
    day: date = date(2000, 1, 1)
    hour: time = time(1)
    pause: timedelta = timedelta(0)
    price: Decimal = Decimal(0)
    id: UUID = UUID(int=0)  # noqa: RUF009
    z: complex = 0j
    moment: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    rights: Rights = Rights.READ
    shape: Shape = Shape.ROUND
    ports: dict[int, str] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    by_color: dict[Color, list[float]] = field(default_factory=dict)
    either: int | list[int] | None = None
    frozen: frozenset[int] = frozenset()


RICH = {
    "blob": b"\x00\xff", "day": date(2024, 2, 29), "hour": time(12, 30), "pause": timedelta(days=2, microseconds=5),
    "price": Decimal("1.10"), "id": UUID(int=7), "z": 1 + 2j, "moment": datetime(2024, 1, 1, 5, tzinfo=UTC),
    "rights": Rights.READ | Rights.WRITE, "shape": Shape.SQUARE, "ports": {80: "http", 443: "https"},
    "windows": [Window(1, "a"), Window(2)], "by_color": {Color.BLUE: [1.5, 2.0]}, "either": [1],
    "frozen": frozenset({3, 1}),
}  # fmt: skip


@pytest.mark.parametrize("cls, values", [(Prefs, SOME), (Rich, RICH)])
def test_values_go_out_and_in_again(place, format, cls, values):
    with Settings(cls, place) as prefs:
        settings.update(prefs, values)
        assert settings.as_dict(prefs) == values
        text = settings.export(prefs, format)
        settings.reset_all(prefs)
        settings.import_(prefs, text, format)
        found = settings.as_dict(prefs)
        assert found == values and {name: type(found[name]) for name in found} == {
            name: type(values[name]) for name in values
        }
        settings.reset_all(prefs)
        defaults = settings.export(prefs, format)
        settings.import_(prefs, defaults, format)
        assert settings.changed(prefs) == {}  # nor stored: a default that is imported is none that somebody chose


def test_none_goes_out_and_in_again(place, format):
    made = make_dataclass("C", [("x", str | None, "default"), ("y", int | None, None)])
    with Settings(made, place) as prefs:
        prefs.x = None
        text = settings.export(prefs, format)
        settings.update(prefs, x="other", y=5)
        settings.import_(prefs, text, format)
        assert settings.as_dict(prefs) == {"x": None, "y": None}


def test_toml_names_what_is_none(prefs):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")
    found = tomllib.loads(settings.export(prefs, "toml"))
    assert found["_none"] == ["window.title", "folder", "since", "proxy"]
    settings.import_(prefs, 'theme = "x"\n_none = ["proxy"]', "toml")
    with pytest.raises(ValueError, match=r"proxy has a value and stands in _none too"):
        settings.import_(prefs, 'proxy = "x"\n_none = ["proxy"]', "toml")
    with pytest.raises(ValueError, match=r"_none is a list"):
        settings.import_(prefs, "_none = 5", "toml")
    with pytest.raises(ValueError, match=r"Prefs\.theme takes str, not None"):
        settings.import_(prefs, '_none = ["theme"]', "toml")


def test_none_that_toml_would_lose_is_refused(place):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")

    @dataclass
    class Inner:
        x: int | None = 5

    made = make_dataclass("C", [
        ("items", list[int | None], field(default_factory=list)), ("inner", Inner, field(default_factory=Inner)),
        ("inners", list[Inner], field(default_factory=list)), ("pairs", dict[str, int | None], field(default_factory=dict)),
    ])  # fmt: skip
    with Settings(made, place) as prefs:
        settings.update(prefs, inner=Inner(None), pairs={"a": None, "b": 5}, inners=[Inner(), Inner(None)])
        text = settings.export(prefs, "toml")
        assert tomllib.loads(text)["_none"] == ["inner.x", "inners[1].x", "pairs.a"]
        settings.reset_all(prefs)
        settings.import_(prefs, text, "toml")
        assert prefs.inner == Inner(None) and prefs.pairs == {"a": None, "b": 5}
        assert prefs.inners == [Inner(), Inner(None)]
        for bad, place in (
            ({"items": [1, None]}, r"items\[1\]"), ({"pairs": {"a.b": None}}, r"pairs\.a\.b"),
        ):  # fmt: skip
            settings.reset_all(prefs)
            settings.update(prefs, bad)
            with pytest.raises(ValueError, match=f"^{place} is None, and TOML has nothing for that"):
                settings.export(prefs, "toml")
        with pytest.raises(ValueError, match=r"inner\.x has a value and stands in _none too"):
            settings.import_(prefs, '_none = ["inner.x"]\ninner = 5', "toml")
        for bad in ("", "inners[7].x", "inners[0]", "[0]"):
            with pytest.raises(ValueError, match=r"stands in _none too|has no field|takes list"):
                settings.import_(prefs, f'_none = ["{bad}"]\ninners = [{{}}]', "toml")


def test_what_a_format_cannot_hold_is_named(place):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")
    made = make_dataclass("C", [("n", int, 0), ("a", Any, None), ("f", float, 0.0)])
    with Settings(made, place) as prefs:
        prefs.n = 2**70
        with pytest.raises(ValueError, match=r"^TOML cannot hold the settings: .*'n'.*64 bits$"):
            settings.export(prefs, "toml")
        settings.update(prefs, n=0, a=datetime(2020, 1, 1))
        assert settings.changed(prefs) == {"a": datetime(2020, 1, 1)}
        with pytest.raises(ValueError, match=r"^C\.a: .* would come back from JSON as '2020-"):
            settings.export(prefs, "json")
        settings.update(prefs, a=None, f=float("inf"))
        assert prefs.f == float("inf")
        with pytest.raises(ValueError, match=r"^JSON cannot hold the settings"):
            settings.export(prefs, "json")


def test_import_keeps_what_it_does_not_name(prefs):
    settings.update(prefs, theme="light", font_size=20)
    settings.import_(prefs, "font_size = 30 # comment\n[window]\nwidth = 5", "toml")
    assert settings.changed(prefs) == {"theme": "light", "font_size": 30, "window": Window(5)}


def test_import_with_bad_fields_names_each_and_stores_nothing(prefs):
    text = 'font_size = "big"\nbeep = 1\nscale = 2.0\nthemes = "x"\n[window]\nwith = 5\n'
    with pytest.raises(ValueError) as told:
        settings.import_(prefs, text, "toml")
    for part in (
        "4 fields are refused: ", "Prefs.font_size takes int, not 'big' (str)", "Prefs.beep takes bool, not 1 (int)",
        "Prefs has no field 'themes'; did you mean 'theme'?", "Prefs.window has no field 'with'; did you mean 'width'?",
    ):  # fmt: skip
        assert part in str(told.value)
    assert settings.changed(prefs) == {}


@pytest.mark.parametrize(
    "text, format, message",
    [
        ("x = ", "toml", "^the text is not TOML: "),
        ("{", "json", "^the text is not JSON: "),
        ('{"scale": NaN}', "json", "^the text is not JSON: "),
        ("[1]", "json", "no table of fields"),
        ("", "json", "^the text is not JSON"),
        ("[" * 100_000, "json", "^the text is not JSON"),
        ("x: &a 1\ny: *a", "yaml", "^the text is not YAML"),
        ("x: !!python/object/apply:os.getcwd []", "yaml", "^the text is not YAML"),
        ("1: 2", "yaml", "no table of fields"),
        ("x", "xml", "^unknown format 'xml': one of toml, json, yaml"),
    ],
)
def test_text_that_is_none_of_the_format_is_refused(prefs, text, format, message):
    if format == "yaml":
        pytest.importorskip("yaml", reason="pyyaml is not installed: YAML is not read")
    with pytest.raises(ValueError, match=message):
        settings.import_(prefs, text, format)


def test_files_by_their_suffix(prefs, tmp_path, format):
    file = tmp_path / f"p.{format}"
    prefs.theme = "hell ♥"
    settings.export_to(prefs, file)
    assert file.read_text(encoding="utf-8") == settings.export(prefs, format)
    settings.reset_all(prefs)
    settings.import_from(prefs, file)
    assert prefs.theme == "hell ♥"
    settings.export_to(prefs, tmp_path / "p.txt", format)
    settings.import_from(prefs, tmp_path / "p.txt", format)
    assert sorted(one.name for one in tmp_path.iterdir() if "app.db" not in one.name) == sorted([file.name, "p.txt"])


def test_store_itself_is_no_file_to_export_to(path):
    with Settings(Prefs, path) as prefs, pytest.raises(ValueError, match="is the store itself"):
        settings.export_to(prefs, path, "json")


def test_files_that_are_wrong(prefs, tmp_path):
    with pytest.raises(ValueError, match=r"p\.ini does not end in \.toml.*name the format"):
        settings.export_to(prefs, tmp_path / "p.ini")
    with pytest.raises(FileNotFoundError):
        settings.import_from(prefs, tmp_path / "p.json")
    with pytest.raises(FileNotFoundError):
        settings.export_to(prefs, tmp_path / "none" / "p.json")
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"bad\.json: .*utf-8"):
        settings.import_from(prefs, bad)
    bad.write_text("{}")
    settings.close(prefs)
    with pytest.raises(StoreClosed, match=r"^the store on"):  # no error of the file
        settings.import_from(prefs, bad)


def test_export_that_fails_leaves_the_old_file(prefs, tmp_path, monkeypatch):
    file = tmp_path / "p.json"
    file.write_text("old")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no"):
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
        settings.export_to(prefs, file)
    assert file.read_text() == "old"
    assert not list(tmp_path.glob(".settings-*"))


@pytest.mark.parametrize("format, library, install", [("toml", "tomli_w", "tomli-w"), ("yaml", "yaml", "pyyaml")])
def test_library_that_is_missing_is_named_with_its_remedy(prefs, monkeypatch, format, library, install):
    monkeypatch.setattr(codecs, "_loaded", {})
    for module in (f"store.codecs.{format}", f"store.codecs.{format}.codec"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CodecUnavailable, match=f"pip install {install}"):
        settings.export(prefs, format)
    settings.import_(prefs, "theme = 'x'", "toml")  # reading TOML takes none
    assert prefs.theme == "x"
