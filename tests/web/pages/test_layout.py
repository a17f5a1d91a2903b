"""The frame of all pages: what a reader without a mouse, without a script, or with a wide screen needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_reading import read

import store.web
from store import LockTimeout, Store
from store.display.html import Url, element
from store.web.links import Links
from store.web.pages import layout
from store.web.parts.prose import prose
from store.web.routing import page_of
from store.web.site import Page, Site

STATIC = Path(store.web.__file__).parent / "static"
PAGES = ["", "namespace", "record", "health", "nowhere"]


@pytest.mark.parametrize("path", PAGES)
def test_each_page_has_its_landmarks(s, show, path):
    s["a"] = {"x": 1}
    page = show(path, 404 if path == "nowhere" else 200, **({"name": "a"} if path == "record" else {}))
    assert page.one("html")["lang"] == "en"
    assert page.one("body").each("a")[0]["href"] == "#main"
    assert page.one("main")["id"] == "main" and len(page.each("h1")) == 1
    assert [one for one in page.each("nav") if not one.get("aria-label")] == []
    for field in (*page.each("input"), *page.each("select")):
        labelled = any(field in label.walk() for label in page.each("label"))
        assert labelled or field["type"] == "hidden"
    assert [one for one in page.each("table") if not one.each("caption") and "facts" not in one.get("class")] == []
    assert [one for one in page.each("th") if one.get("scope") not in ("col", "row")] == []
    ids = [node["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PAGES[:4])
def test_no_page_has_scripts_or_styles_of_its_own(s, show, path):
    s["a"] = 1
    page = show(path, **({"name": "a"} if path == "record" else {}))
    assert [one["src"] for one in page.each("script")] == ["/t/static/page.js"]
    assert page.each("style") == []
    assert [name for node in page.walk() for name in node.attributes if name == "style" or name.startswith("on")] == []


def test_title_has_the_name_of_the_store(path, clock):
    with Store(path, clock=clock) as s:
        site = Site(s, Links("/t"), clock=clock)
        assert read(layout.document(site, page_of(site, "health", {}))).one("title").text == "Health · app.db"
        assert read(layout.document(site, page_of(site, "", {}))).one("title").text == "app.db"


def test_password_of_a_server_is_not_shown(s, clock, monkeypatch):
    monkeypatch.setattr(Store, "location", "postgresql://me:secret-word@host/db")
    site = Site(s, Links("/t"), clock=clock)
    shown = layout.document(site, page_of(site, "", {}))
    assert "secret-word" not in shown and "postgresql://me@host/db" in shown


def test_page_says_whether_it_can_write(s, clock):
    for writable, text in ((False, "only read"), (True, "can write")):
        site = Site(s, Links("/t"), clock=clock, writable=writable)
        assert text in read(layout.document(site, Page("x", element("p")))).one("footer").text


def test_classes_of_the_markup_have_a_style():
    """The parts of `tables`, and the badges, are all in the style sheet."""
    style = (STATIC / "page.css").read_text("utf-8")
    for name in "listing fold compact short records facts tiles bar track fill notice good warning error note badge-own badge-foreign " \
                "badge-refused badge-tampered badge-corrupt pager search skip changed tree value scroll thumbnail".split():  # fmt: skip
        assert name == "compact" or re.search(rf"\.{name}\b", style), name


def test_style_sheet_and_script_fetch_nothing():
    for file in STATIC.iterdir():
        assert not re.search(r"https?:|@import|url\(|//cdn|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", file.read_text("utf-8")), file


@pytest.mark.parametrize(
    "given, codes", [("run `store verify` now", ["store verify"]), ("`a` `b`", ["a", "b"]), ("none", []), ("it`s", []), ("`a` it`s", ["a"]), ("", [])]
)
def test_backquotes_mark_commands(given, codes):
    made = read(prose(given))
    assert [one.text for one in made.each("code")] == codes
    assert made.text.replace("`", "") == given.replace("`", "")


@pytest.mark.parametrize(("path", "current"), [("", "Overview"), ("health", "Health"), ("settings", "Settings"), ("set", "New record")])
def test_header_marks_the_page_that_is_open(s, clock, path, current):
    site = Site(s, Links("/t"), writable=True, clock=clock)
    header = read(layout.document(site, page_of(site, path, {}))).one("header")
    assert [link.text for link in header.each("a") if link.get("aria-current") == "page"] == [current]


def test_header_marks_no_place_on_other_pages(s, clock):
    s["a"] = 1
    site = Site(s, Links("/t"), writable=True, clock=clock)
    for path, query in (("namespace", {}), ("record", {"name": "a"}), ("set", {"name": "a"}), ("nowhere", {})):
        header = read(layout.document(site, page_of(site, path, query))).one("header")
        assert [link.text for link in header.each("a") if link.get("aria-current")] == []


def test_way_out_of_the_pages_comes_first(path, clock):
    with Store(path, clock=clock) as s:
        site = Site(s, Links("/t"), clock=clock)
        shown = read(layout.document(site, page_of(site, "health", {}), above=("app in Datasette", Url("/app"))))
    steps = [(link.text, link["href"]) for link in shown.one("ol", "trail").each("a")]
    assert steps == [("app in Datasette", "/app"), ("app.db", "/t/")]


def test_page_of_a_store_that_is_locked_can_be_tried_again(s, clock, monkeypatch):
    def locked(*given):
        raise LockTimeout("another program holds the lock: try again")

    site = Site(s, Links("/t"), clock=clock)
    monkeypatch.setattr(Site, "within", locked)
    page = page_of(site, "namespace", {"namespace": "a&b", "path": "x", "prefix": "é"})
    assert page.status == 503
    (link,) = read(page.body).each("a")
    assert link.text == "Try again" and link["href"] == "/t/namespace?namespace=a%26b&path=x&prefix=%C3%A9"


def test_page_of_a_wrong_address_offers_no_other_try(s, clock):
    page = page_of(Site(s, Links("/t"), clock=clock), "namespace", {"sort": "bad"})
    assert page.status == 400 and "Try again" not in page.body
