"""Columns of any length, in a crafted file: no page has them whole, and bodies that no page shows are not read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.opened.namespace import Namespace
from store.rows.spilled import MAX_PARTS, Part, parts_of, size_of, text_of
from store.web.forms import submit
from store.web.forms.admitting import MOST_BYTES
from store.web.forms.target import Target
from store.web.links import Links
from store.web.look import CELL_BYTES, Budget, look
from store.web.pages.layout import document
from store.web.routing import page_of
from store.web.site import Page, Site

OURS, THEIRS = b"the key of these tests, long enough", b"the key of somebody else, long enough"
LONG = 1_000_000
MOST_PAGE = 100_000
COLUMNS: dict[str, dict[str, Any]] = {
    "name": {"name": "n" * LONG}, "codec": {"codec": "\x01" * LONG}, "type": {"type": "\u202e" * LONG}, "python": {"python": "p" * LONG},
    "seal": {"seal": b"\0" * LONG}, "spill": {"spill": "[" * LONG},
}  # fmt: skip

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


def plant(path: Path, **columns: Any) -> str:
    """A record of somebody else with such columns; returns its name."""
    with Store(path, key=THEIRS) as s:
        row = s.opened.pack("x", 1, None)._replace(**columns)
        s.opened.engine.load([row if "seal" in columns else s.opened.values.sealer.seal(row)])
    return row.name


@pytest.fixture
def site(path: Path) -> Iterator[Site]:
    with Store(path, key=OURS) as s:
        yield Site(s, Links("/t"), writable=True, live=True)


@pytest.mark.parametrize("column", COLUMNS)
def test_page_is_short_whatever_the_columns_hold(path: Path, site: Site, column: str) -> None:
    name = plant(path, **COLUMNS[column])
    listings: list[tuple[str, dict[str, str]]] = [("", {}), ("health", {}), ("health", {"check": "0"}), ("settings", {"namespace": ""})]
    listings += [("namespace", {"namespace": "", "sort": sort}) for sort in ("name", "size")] + [("delete", {"prefix": name[0]})]
    ones = [] if column == "name" else [(page, {"namespace": "", "name": name}) for page in ("record", "set", "delete", "admit")]
    for page, query in [*listings, *ones]:
        made = document(site, page_of(site, page, query))
        assert len(made) < MOST_PAGE, (page, len(made))
        assert "/admit?" not in made or column != "name"


def test_listing_leads_to_admission_where_the_name_fits(path: Path, site: Site) -> None:
    plant(path)
    assert "/t/admit?" in document(site, page_of(site, "namespace", {"namespace": ""}))


def test_record_that_is_too_large_is_not_read(path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one of others nor one whose value could be in files; one that is in files is."""
    np = pytest.importorskip("numpy", reason="NumPy is missing: no array in a file was looked at")
    site.store["files"] = np.zeros(500_000)
    site.store["row"] = "x" * (CELL_BYTES + 1)
    plant(path, body=b"x" * (CELL_BYTES + 1))
    found: list[str] = []
    find = Namespace.find

    def noted(ns: Namespace, name: str) -> Any:
        found.append(name)
        return find(ns, name)

    monkeypatch.setattr(Namespace, "find", noted)
    for name in ("row", "x", "files"):
        assert look(site.store, site.store.record(name), Budget()).badge == ("own" if name == "files" else "skipped")
    assert found == ["files"]


def test_record_that_is_too_large_for_a_page_is_admitted_elsewhere(path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name = plant(path, body=b"\x80\x04" + b"N0" * (MOST_BYTES // 2) + b"N.")
    monkeypatch.setattr(Namespace, "find", lambda *_: pytest.fail("its body was read"))
    shown = page_of(site, "admit", {"namespace": "", "name": name})
    assert shown.status == 400 and "<code>store admit</code>" in shown.body and "<form" not in shown.body
    target = Target("", name, "0" * 64).spelled()
    sent = submit(site, "admit", {"target": target})
    assert isinstance(sent, Page) and sent.status == 400 and "store admit" in sent.body


def test_list_of_files_is_read_up_to_the_length_that_one_can_have() -> None:
    prefix, other = "a" * 32, "b" * 32
    most = [Part(f"{prefix}-{number:032x}", 2**40, "c" * 64) for number in range(MAX_PARTS)]
    assert parts_of(text_of(most), prefix) == most
    assert size_of(text_of(most)) == MAX_PARTS * 2**40
    assert size_of(json.dumps([[f"{prefix}-{other}", 1, "c" * 64]] * (2 * MAX_PARTS))) == 0
