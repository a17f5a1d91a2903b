"""What objects show in a notebook: a small table, escaped and bounded, that decodes no value and never raises."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.aio import AsyncStore
from store.cache import Cache
from store.care.verify import Verification
from store.settings import Settings

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', r"$\href{javascript:alert(1)}{x}$", "\u202e\x1b[31m", ""]
TAGS = set("div table caption thead tbody tr th td p".split())


class Reader(HTMLParser):
    """What a notebook shows: the rows of all tables, each a list of cells, and the tags and classes there are."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.classes: list[str] = []
        self.content, self._is_in_cell = "", False
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.classes += [value or "" for name, value in attrs if name == "class"]
        assert {name for name, _ in attrs} <= {"class", "scope"}
        if tag == "tr":
            self.rows.append([])
        self._is_in_cell = tag in ("td", "th")
        if self._is_in_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._is_in_cell = False

    def handle_data(self, data: str) -> None:
        self.content += data
        if self._is_in_cell:
            self.rows[-1][-1] += data

    @property
    def facts(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


def read(shown: Any) -> Reader:
    markup = shown._repr_html_()
    markup.encode()
    found = Reader(markup)
    assert found.tags <= TAGS, "nothing but tables"
    assert "tex2jax_ignore mathjax_ignore" in found.classes, "notebooks would set $…$ as formulas"
    return found


class Decoded:
    """Fails when it is decoded."""

    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise AssertionError("a value was decoded")


@pytest.mark.slow
def test_store_shows_where_it_is_and_metadata_of_records(s: Store[Any], clock: Any) -> None:
    s["b"] = [1]
    s.put("a", {"x": 1}, ttl=60, codec="json")
    s.put("gone", 1, ttl=1)
    clock.advance(2)
    found = read(s)
    assert found.facts == {"location": s.location, "namespace": '""', "records": "2"}
    assert found.rows[-2:] == [
        ['"a"', "dict", "json", "7 B", "2027-01-15 08:00:00Z", "2027-01-15 08:01:00Z"],
        ['"b"', "list", "pickle", found.rows[-1][3], "2027-01-15 08:00:00Z", "never"],
    ]
    assert "all records" in found.content


def test_empty_store_has_no_second_table(s: Store[Any]) -> None:
    assert read(s).rows == [["location", s.location], ["namespace", '""'], ["records", "0"]]


def test_store_shows_names_of_others_as_text(s: Store[Any]) -> None:
    s.update(dict.fromkeys(HOSTILE, 1))
    found = read(s.within('<b>"'))
    assert found.facts["namespace"] == '"<b>""'
    names = [row[0] for row in read(s).rows[-5:]]
    assert sorted(names) == sorted(f'"{name}"' for name in [*HOSTILE[:3], r"\u202e\u001b[31m", ""])


def test_store_is_bounded_in_names_and_their_lengths(s: Store[Any]) -> None:
    s.update({f"{n:03} {'x' * 5000}": n for n in range(40)})
    found = read(s)
    assert "20 of 40 records" in found.content
    assert [row[0][:4] for row in found.rows if len(row) > 2][1:] == [f'"{n:03}' for n in range(20)]
    assert len(s._repr_html_()) < 10_000


def test_store_decodes_no_value(path: Path) -> None:
    with Store(path, key=b"another key, of somebody else") as s, pytest.MonkeyPatch.context() as patched:
        patched.setattr("store.values.unpacking.Unpacker.unpacked", fail)
        patched.setattr("store.values.unpacking.Unpacker.unpacked_own", fail)
        s["x"] = Decoded()
        assert read(s).rows[-1][:2] == ['"x"', f"{__name__}.Decoded"]


def test_closed_store_says_so(s: Store[Any]) -> None:
    other = s.within("other")
    other.close()
    assert read(other).facts["state"] == "closed"


def test_damaged_record_does_not_hide_the_others() -> None:
    with Store[Any](":memory:") as s:
        s.update(a=1, b=2)
        row = s.opened.find("a")
        assert row is not None
        s.opened.engine.load([row._replace(created="<b>")])
        found = read(s)
    assert [row[0] for row in found.rows[-2:]] == ['"a"', '"b"']
    assert found.rows[-2][1].startswith("Corrupt: ") and found.rows[-1][1] == "int"


@pytest.mark.damaged
def test_damaged_file_is_a_problem_that_is_shown(path: Path) -> None:
    with Store(path) as s:
        s.update({f"name {n}": "x" * 1000 for n in range(100)})
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(1) * (len(content) - 4096)
    with Store(path, mode="r") as s:
        path.write_bytes(content)
        assert "Corrupt: " in read(s).facts["problem"] or "StorageError: " in read(s).facts["problem"]


def test_record_shows_its_metadata(s: Store[Any]) -> None:
    found = read(s.put(HOSTILE[0], Decoded(), ttl=60))
    assert found.facts["name"] == f'"{HOSTILE[0]}"'
    assert found.facts["type"] == f"{__name__}.Decoded"
    assert found.facts["codec"] == "pickle 5"
    assert (found.facts["created"], found.facts["expires"]) == ("2027-01-15 08:00:00Z", "2027-01-15 08:01:00Z")


def test_record_without_expiry_never_expires(s: Store[Any]) -> None:
    assert read(s.put("a", 1)).facts["expires"] == "never"


def test_verification_of_a_sound_store(s: Store[Any]) -> None:
    s["a"] = 1
    found = read(s.verify())
    assert found.content.startswith("Verification")
    assert found.rows == [["verdict", "sound"], ["sealed", "1"]]


def test_verification_lists_the_first_faults(path: Path) -> None:
    places = [("<b>", f"{HOSTILE[1]}{n}" + "x" * 999) for n in range(50)]
    found = Verification(3, foreign=places, damage=["<i>page 3</i>"], files=[("", "f", "is missing")], orphans=["o"], unread=2)
    shown = read(found)
    assert shown.facts["verdict"] == "not sound"
    assert shown.facts["foreign"] == "50" and shown.facts["orphans"].startswith("1 file,")
    assert shown.rows[-20] == ["damage", "", "<i>page 3</i>"]
    assert shown.rows[-19] == ["files", '"f" in ""', "is missing"]
    assert shown.rows[-18][1].endswith(' in "<b>"')
    assert "20 of 52 faults" in shown.content
    assert len(found._repr_html_()) < 10_000


def test_stats_and_figures_of_a_cache(path: Path) -> None:
    with Cache(path, shards=2, max_records=1000) as cache:
        cache.update({f"n{n}": n for n in range(30)})
        assert "n1" in cache and cache.get("n1") == 1 and cache.get("none") is None
        found, stats = read(cache), read(cache.stats())
        assert found.facts["policy"] == "lru" and found.facts["max records"] == "1000" and found.facts["records"] == "30"
        names = [row[0] for row in found.rows if len(row) == 6][1:]
        assert names == [f'"{name}"' for name in sorted(cache)[:20]]
        assert stats.facts["hit rate"] == "50.0%" and stats.facts["hits"] == "1"
        assert read(cache.store).facts["shards"] == "2"
        assert read(cache.store.stats()).facts["codecs"] == "pickle: 30"
    assert read(cache).facts["state"] == "closed"


def test_async_store_says_whether_it_is_open(location: str) -> None:
    async def look() -> list[Reader]:
        s: AsyncStore[Any] = AsyncStore(location, namespace="<b>")
        before = read(s)
        async with s:
            during = read(s)
        return [before, during, read(s)]

    before, during, after = asyncio.run(look())
    assert "not open" in before.facts["state"] and "closed" in after.facts["state"]
    assert during.facts["namespace"] == '"<b>"' and "state" not in during.facts


@dataclass
class Server:
    host: str
    token: str


@dataclass
class Prefs:
    theme: str = "dark"
    font_size: int = 14
    recent: list[str] = field(default_factory=list)
    password: str = "hunter2"
    max_tokens: int = 100
    api_key: str | None = None
    servers: list[Server] = field(default_factory=list)


@pytest.fixture
def prefs(location: str) -> Iterator[Settings[Prefs]]:
    with Settings(Prefs, location, env_prefix="NB_") as opened:
        yield opened


def rows_of(shown: Settings[Any]) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in read(shown).rows if len(row) == 3}


def test_settings_show_values_and_where_they_are_from(prefs: Settings[Prefs], monkeypatch: pytest.MonkeyPatch) -> None:
    prefs.recent = ["<b>", "x" * 1000]
    monkeypatch.setenv("NB_FONT_SIZE", "20")
    found = rows_of(prefs)
    assert found["theme"] == ["'dark'", "default"]
    assert found["font_size"] == ["20", "variable NB_FONT_SIZE"]
    assert found["recent"][1] == "stored" and found["recent"][0].startswith("['<b>', 'xxx") and len(found["recent"][0]) == 80
    prefs.recent = []
    assert rows_of(prefs)["recent"] == ["[]", "default"]


def test_settings_hide_secrets(prefs: Settings[Prefs], monkeypatch: pytest.MonkeyPatch) -> None:
    prefs.api_key = "abcdef"
    found = rows_of(prefs)
    assert found["password"] == ["(hidden: password)", "default"]
    assert found["api_key"] == ["(hidden: api_key)", "stored"]
    assert found["servers"] == ["[]", "default"]
    assert found["max_tokens"] == ["100", "default"]
    monkeypatch.setenv("NB_MAX_TOKENS", "sesame")
    assert "sesame" not in prefs._repr_html_()
    prefs.servers = [Server("a", "sesame")]
    assert rows_of(prefs)["servers"] == ["(hidden: token)", "stored"]
    prefs.api_key = None
    assert rows_of(prefs)["api_key"] == ["None", "default"]


def test_settings_show_what_is_refused(prefs: Settings[Prefs], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NB_FONT_SIZE", "<b>")
    value, origin = rows_of(prefs)["font_size"]
    assert value.startswith("ValueError: the environment variable NB_FONT_SIZE is refused") and origin == "variable NB_FONT_SIZE"


def test_settings_with_a_value_that_does_not_fit_show_a_problem(prefs: Settings[Prefs], path: Path) -> None:
    values = object.__getattribute__(prefs, "__settings__")
    values.store["font_size"] = "large"  # the warning that it does not fit is an error in these tests
    assert "does not fit" in read(prefs).facts["problem"]
    assert rows_of(prefs)["font_size"] == ["14", "default"]  # it warns once


def test_closed_settings_say_so(location: str) -> None:
    with Settings(Prefs, location) as prefs:
        pass
    assert read(prefs).facts["problem"].startswith("StoreClosed: ")


def test_settings_are_bounded(path: Path) -> None:
    many = dataclass(type("Many", (), {"__annotations__": {f"f{n}": str for n in range(50)}, **{f"f{n}": "x" * 999 for n in range(50)}}))
    with Settings(many, path) as prefs:
        assert "20 of 50 fields" in read(prefs).content
        assert len(prefs._repr_html_()) < 10_000


EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
HOSTILE_CELL = "from store import Store\ns = Store(':memory:')\ns['<script>alert(1)</script>'] = 1\ns"
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells.append(nbformat.v4.new_code_cell(sys.argv[2]))
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
print(nbformat.writes(notebook))
"""


def tables_in(notebook: str) -> list[Reader]:
    """The table that each cell shows."""
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code"]
    assert all("text/plain" in cell["outputs"][-1]["data"] for cell in cells)
    return [Reader("".join(cell["outputs"][-1]["data"]["text/html"])) for cell in cells]


@pytest.mark.heavy
def test_notebook_shows_the_tables(tmp_path: Path) -> None:
    """A real kernel runs the example, whose saved tables are those that it shows now, and a cell with a hostile name."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(EXAMPLE), HOSTILE_CELL], capture_output=True, text=True, cwd=tmp_path, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    *shown, hostile = tables_in(done.stdout)
    saved = tables_in(EXAMPLE.read_text("utf-8"))
    assert [found.content[:20] for found in shown] == [found.content[:20] for found in saved]
    assert [[row[0] for row in found.rows] for found in shown] == [[row[0] for row in found.rows] for found in saved]
    assert hostile.rows[-1][0] == '"<script>alert(1)</script>"' and hostile.tags <= TAGS
