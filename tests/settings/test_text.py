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

from store.codecs import codecs
from store.errors import CodecUnavailable, StoreClosed
from store.settings import Settings

NEEDS = {"toml": "tomli_w", "yaml": "yaml", "json": "json"}


@pytest.fixture(params=NEEDS)
def format(request):
    pytest.importorskip(NEEDS[request.param], reason=f"{NEEDS[request.param]} is not installed: not tested")
    return request.param


@pytest.fixture
def prefs(path):
    with Settings(Prefs, path) as prefs:
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
def test_values_go_out_and_in_again(path, format, cls, values):
    with Settings(cls, path) as prefs:
        prefs.update(values)
        assert prefs.as_dict() == values
        text = prefs.export(format)
        prefs.reset_all()
        prefs.import_(text, format)
        found = prefs.as_dict()
        assert found == values and {name: type(found[name]) for name in found} == {
            name: type(values[name]) for name in values
        }
        prefs.reset_all()
        defaults = prefs.export(format)
        prefs.import_(defaults, format)
        assert prefs.changed() == {}  # nor stored: a default that is imported is none that somebody chose


def test_none_goes_out_and_in_again(path, format):
    made = make_dataclass("C", [("x", str | None, "default"), ("y", int | None, None)])
    with Settings(made, path) as prefs:
        prefs.x = None
        text = prefs.export(format)
        prefs.update(x="other", y=5)
        prefs.import_(text, format)
        assert prefs.as_dict() == {"x": None, "y": None}


def test_toml_names_what_is_none(prefs):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")
    found = tomllib.loads(prefs.export("toml"))
    assert found["_none"] == ["window.title", "folder", "since", "proxy"]
    prefs.import_('theme = "x"\n_none = ["proxy"]', "toml")
    with pytest.raises(ValueError, match=r"proxy has a value and stands in _none too"):
        prefs.import_('proxy = "x"\n_none = ["proxy"]', "toml")
    with pytest.raises(ValueError, match=r"_none is a list"):
        prefs.import_("_none = 5", "toml")
    with pytest.raises(ValueError, match=r"Prefs\.theme takes str, not None"):
        prefs.import_('_none = ["theme"]', "toml")


def test_none_that_toml_would_lose_is_refused(path):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")

    @dataclass
    class Inner:
        x: int | None = 5

    made = make_dataclass("C", [
        ("items", list[int | None], field(default_factory=list)), ("inner", Inner, field(default_factory=Inner)),
        ("inners", list[Inner], field(default_factory=list)), ("pairs", dict[str, int | None], field(default_factory=dict)),
    ])  # fmt: skip
    with Settings(made, path) as prefs:
        prefs.update(inner=Inner(None), pairs={"a": None, "b": 5}, inners=[Inner(), Inner(None)])
        text = prefs.export("toml")
        assert tomllib.loads(text)["_none"] == ["inner.x", "inners[1].x", "pairs.a"]
        prefs.reset_all()
        prefs.import_(text, "toml")
        assert prefs.inner == Inner(None) and prefs.pairs == {"a": None, "b": 5}
        assert prefs.inners == [Inner(), Inner(None)]
        for bad, place in (
            ({"items": [1, None]}, r"items\[1\]"), ({"pairs": {"a.b": None}}, r"pairs\.a\.b"),
        ):  # fmt: skip
            prefs.reset_all()
            prefs.update(bad)
            with pytest.raises(ValueError, match=f"^{place} is None, and TOML has nothing for that"):
                prefs.export("toml")
        with pytest.raises(ValueError, match=r"inner\.x has a value and stands in _none too"):
            prefs.import_('_none = ["inner.x"]\ninner = 5', "toml")
        for bad in ("", "inners[7].x", "inners[0]", "[0]"):
            with pytest.raises(ValueError, match=r"stands in _none too|has no field|takes list"):
                prefs.import_(f'_none = ["{bad}"]\ninners = [{{}}]', "toml")


def test_what_a_format_cannot_hold_is_named(path):
    pytest.importorskip("tomli_w", reason="tomli-w is not installed: TOML is not written")
    made = make_dataclass("C", [("n", int, 0), ("a", Any, None), ("f", float, 0.0)])
    with Settings(made, path) as prefs:
        prefs.n = 2**70
        with pytest.raises(ValueError, match=r"^TOML cannot hold the settings: .*'n'.*64 bits$"):
            prefs.export("toml")
        prefs.update(n=0, a=datetime(2020, 1, 1))
        assert prefs.changed() == {"a": datetime(2020, 1, 1)}
        with pytest.raises(ValueError, match=r"^C\.a: .* would come back from JSON as '2020-"):
            prefs.export("json")
        prefs.update(a=None, f=float("inf"))
        assert prefs.f == float("inf")
        with pytest.raises(ValueError, match=r"^JSON cannot hold the settings"):
            prefs.export("json")


def test_import_keeps_what_it_does_not_name(prefs):
    prefs.update(theme="light", font_size=20)
    prefs.import_("font_size = 30 # comment\n[window]\nwidth = 5", "toml")
    assert prefs.changed() == {"theme": "light", "font_size": 30, "window": Window(5)}


def test_import_with_bad_fields_names_each_and_stores_nothing(prefs):
    text = 'font_size = "big"\nbeep = 1\nscale = 2.0\nthemes = "x"\n[window]\nwith = 5\n'
    with pytest.raises(ValueError) as told:
        prefs.import_(text, "toml")
    for part in (
        "4 fields are refused: ", "Prefs.font_size takes int, not 'big' (str)", "Prefs.beep takes bool, not 1 (int)",
        "Prefs has no field 'themes'; did you mean 'theme'?", "Prefs.window has no field 'with'; did you mean 'width'?",
    ):  # fmt: skip
        assert part in str(told.value)
    assert prefs.changed() == {}


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
        prefs.import_(text, format)


def test_files_by_their_suffix(prefs, tmp_path, format):
    file = tmp_path / f"p.{format}"
    prefs.theme = "hell ♥"
    prefs.export_to(file)
    assert file.read_text(encoding="utf-8") == prefs.export(format)
    prefs.reset_all()
    prefs.import_from(file)
    assert prefs.theme == "hell ♥"
    prefs.export_to(tmp_path / "p.txt", format)
    prefs.import_from(tmp_path / "p.txt", format)
    assert sorted(one.name for one in tmp_path.iterdir() if "app.db" not in one.name) == sorted([file.name, "p.txt"])


def test_files_that_are_wrong(prefs, tmp_path, path):
    with pytest.raises(ValueError, match=r"p\.ini does not end in \.toml.*name the format"):
        prefs.export_to(tmp_path / "p.ini")
    with pytest.raises(ValueError, match="is the store itself"):
        prefs.export_to(path, "json")
    with pytest.raises(FileNotFoundError):
        prefs.import_from(tmp_path / "p.json")
    with pytest.raises(FileNotFoundError):
        prefs.export_to(tmp_path / "none" / "p.json")
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"bad\.json: .*utf-8"):
        prefs.import_from(bad)
    bad.write_text("{}")
    prefs.close()
    with pytest.raises(StoreClosed, match=r"^the store on"):  # no error of the file
        prefs.import_from(bad)


def test_export_that_fails_leaves_the_old_file(prefs, tmp_path, monkeypatch):
    file = tmp_path / "p.json"
    file.write_text("old")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no"):
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
        prefs.export_to(file)
    assert file.read_text() == "old"
    assert not list(tmp_path.glob(".settings-*"))


@pytest.mark.parametrize("format, library, install", [("toml", "tomli_w", "tomli-w"), ("yaml", "yaml", "pyyaml")])
def test_library_that_is_missing_is_named_with_its_remedy(prefs, monkeypatch, format, library, install):
    monkeypatch.setattr(codecs, "_loaded", {})
    for module in (f"store.codecs.{format}", f"store.codecs.{format}.codec"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CodecUnavailable, match=f"pip install {install}"):
        prefs.export(format)
    prefs.import_("theme = 'x'", "toml")  # reading TOML takes none
    assert prefs.theme == "x"
