"""Admitting a foreign record: the page shows what it would load, and exactly the bytes that it showed are sealed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsed_forms import forms_in
from spoiled import reseal
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker, Point

from store import Store
from store.errors import Untrusted
from store.web.forms import form_page, record_forms, submit
from store.web.links import Links
from store.web.site import Page, Redirect, Site

pytestmark = [pytest.mark.filterwarnings(FOREIGN_KEY), pytest.mark.damaged]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "app.db"
    with Store(place, key=MINE) as s:
        s["mine"] = 1
    with Store(place, key=THEIRS) as s:
        s["point"] = Point(5)
        s["marker"] = Marker(tmp_path / "ran")
    return place


@pytest.fixture
def site(place: Path) -> Iterator[Site]:
    with Store(place, key=MINE) as s:
        yield Site(s, Links("/token"), writable=True)


def test_page_shows_what_would_load_and_admits_it(site: Site) -> None:
    page = form_page(site, "admit", {"name": "point"})
    assert page.status == 200
    assert f"{Point.__module__}.Point" in page.body
    assert "STACK_GLOBAL" in page.body
    with pytest.raises(Untrusted):
        site.store["point"]
    assert submit(site, "admit", forms_in(page.body)["admit"].sent()) == Redirect(site.links.record("", "point"))
    assert site.store["point"] == Point(5)


def test_page_runs_nothing(site: Site, tmp_path: Path) -> None:
    page = form_page(site, "admit", {"name": "marker"})
    assert "posix.mkdir" in page.body
    assert forms_in(form_page(site, "set", {"name": "marker"}).body)["set"].fields["value"] == ""
    assert form_page(site, "delete", {"name": "marker"}).status == 200
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keeps_version", [False, True])
def test_other_bytes_than_those_shown_are_not_admitted(site: Site, place: Path, keeps_version: bool) -> None:
    """People who can write the file can also keep the version, which is in a seal that we cannot check."""
    form = forms_in(form_page(site, "admit", {"name": "point"}).body)["admit"]
    before = site.store.opened.find("point")
    assert before is not None
    other = before.body.replace(b"K\x05", b"K\x06")
    reseal(place, "point", THEIRS, body=other)
    if keeps_version:
        after = site.store.opened.find("point")
        assert after is not None
        site.store.opened.engine.load([after._replace(seal=before.seal)])
        assert site.store.record("point").version == before.stamp
    page = submit(site, "admit", form.sent())
    assert isinstance(page, Page)
    assert (page.status, "Nothing was admitted" in page.body) == (409, True)
    with pytest.raises(Untrusted):
        site.store["point"]
    assert isinstance(submit(site, "admit", forms_in(page.body)["admit"].sent()), Redirect)
    assert site.store["point"] == Point(6)


def test_own_and_damaged_records_have_nothing_to_admit(site: Site) -> None:
    page = form_page(site, "admit", {"name": "mine"})
    assert ("nothing to admit" in page.body, forms_in(page.body)) == (True, {})
    row = site.store.opened.find("mine")
    assert row is not None
    site.store.opened.engine.load([row._replace(body=row.body + b"x")])
    page = form_page(site, "admit", {"name": "mine"})
    assert ("never sealed" in page.body, forms_in(page.body)) == (True, {})
    assert form_page(site, "admit", {"name": "none"}).status == 404


def test_record_page_offers_admitting_foreign_records_alone(site: Site) -> None:
    s = site.store
    assert "Admit" in (record_forms(site, s, s.record("point")) or "")
    assert "Admit" not in (record_forms(site, s, s.record("mine")) or "")
    assert "touch" not in forms_in(record_forms(site, s, s.record("point")) or refuse())


def refuse() -> None:
    raise AssertionError("there are no forms")


def test_long_disassembly_is_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.web.forms.admitting.MOST_TEXT", 50)
    assert "cut after 50 characters" in form_page(site, "admit", {"name": "point"}).body
