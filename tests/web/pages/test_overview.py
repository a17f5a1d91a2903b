"""The first page: figures, bars, lists, and the way to all others."""

from __future__ import annotations

import pytest
from page_reading import Node, asked_by, read, rows_of

from store import Store
from store.care import survey as surveying
from store.web.links import Links
from store.web.pages import overview
from store.web.routing import page_of
from store.web.site import Site


def tiles_of(page: Node) -> dict[str, str]:
    return {tile.one("dt").text: tile.one("dd").text for tile in page.one("dl", "tiles").each("div")}


def table_of(page: Node, title: str) -> Node:
    (found,) = [one for one in page.each("section") if one.one("h2").text == title]
    return found.one("table")


@pytest.fixture
def filled(s: Store, clock) -> Store:
    s.put("soon", 1, ttl=30)
    s["big"] = "x" * 3000
    with s.within("shop") as shop:
        shop.put("a", [1], ttl=7200, codec="json")
        clock.advance(1)
        shop["b"] = [2]
    return s


def test_figures(filled, show):
    tiles = tiles_of(show())
    assert tiles["Records"] == "4" and tiles["Namespaces"] == "2" and tiles["Health"] == "not checked yet"
    assert tiles["Size of records"].endswith("KiB")


def test_namespaces_have_counts_and_bars(filled, show):
    table = table_of(show(), "Namespaces")
    assert [row[:2] for row in rows_of(table)] == [["unnamed", "2"], ["shop", "2"]]
    assert [asked_by(link["href"]) for link in table.each("a")] == [
        ("namespace", {"namespace": ""}), ("namespace", {"namespace": "shop"}),
    ]  # fmt: skip
    bars = [float(bar.each("rect", "fill")[0]["width"] or 0) for bar in table.each("svg", "bar")]
    assert bars[0] == 100 and 0 < bars[1] < 10


def test_codecs_and_expiries(filled, show):
    page = show()
    assert {row[0]: row[1] for row in rows_of(table_of(page, "Codecs"))} == {"pickle": "3", "json": "1"}
    expiries = {row[0]: row[1] for row in rows_of(table_of(page, "Expiry"))}
    assert (expiries["within a minute"], expiries["within a day"], expiries["never"]) == ("1", "1", "2")


@pytest.mark.parametrize(
    "title, first, fact", [("Largest", "big", "KiB"), ("Newest", "b", "now"), ("Soon to expire", "soon", "in 29 s")]
)
def test_lists_of_records(filled, show, title, first, fact):
    table = table_of(show(), title)
    name, _, shown = rows_of(table)[0]
    assert name == first and fact in shown
    assert asked_by(table.one("tbody").each("a")[0]["href"])[1]["name"] == first


def test_all_pages_are_two_clicks_away(filled, show):
    clicked = {asked_by(link["href"])[0] for link in show().each("a")}
    assert clicked >= {"", "namespace", "record", "health"}


def test_search_form_offers_the_namespaces(filled, show):
    form = show().one("form", "search")
    assert asked_by(form["action"]) == ("namespace", {})
    assert [option.get("value") for option in form.each("option")] == ["", "shop"]
    assert {field["name"] for field in (*form.each("input"), *form.each("select"))} == {"namespace", "prefix"}


def test_empty_store_says_so(show):
    page = show()
    assert "The store is empty." in page.text and tiles_of(page)["Records"] == "0" and page.each("table") == []


def test_many_namespaces_come_on_several_pages(s, show, monkeypatch):
    monkeypatch.setattr(overview, "MOST_SHOWN", 3)
    for number in range(7):
        with s.within(f"n{number}") as inner:
            inner["a"] = 1
    names, page = [], show()
    assert tiles_of(page)["Records"] == "7"
    while True:
        names += [row[0] for row in rows_of(table_of(page, "Namespaces"))]
        following = page.each("a", "next")
        if not following:
            break
        page = show("", **asked_by(following[0]["href"])[1])
    assert names == [f"n{number}" for number in range(7)]


def test_store_that_is_too_large_is_counted_in_part(s, show, monkeypatch):
    s.update({f"{number:03}": number for number in range(30)})
    monkeypatch.setattr(overview, "survey", lambda ns: surveying.survey(ns, most=10))
    page = show()
    assert tiles_of(page)["Records"] == "30" and tiles_of(page)["Size of records"].endswith("+")
    assert "10 records were read for this page" in page.text


def test_damage_is_named(clock):
    with Store(":memory:", clock=clock) as s:
        s.update({"a": 1, "b": 2})
        s.opened.engine.load([s.opened.find("b")._replace(created=float("nan"))])
        page = page_of(Site(s, Links("/t"), clock=clock), "", {})
    assert page.status == 200 and "Damaged records and namespaces: 1." in page.body


def test_records_that_were_seen_are_listed(filled, show, clock):
    show("record", namespace="shop", name="a")
    clock.advance(60)
    assert rows_of(table_of(show(), "Seen last")) == [["a", "shop", "1", "1 min ago"]]


def test_closed_store_is_a_page(path, clock):
    s = Store(path, clock=clock)
    site = Site(s, Links("/t"), clock=clock)
    s.close()
    for where in ("", "namespace", "record", "health"):
        page = page_of(site, where, {})
        assert (page.status, "closed" in page.body) == (503, True) or where == "health"


def test_address_that_leads_nowhere(show):
    assert show("nowhere", 404).one("main").one("a").text == "first page"


def test_expiry_is_one_sentence_where_nothing_expires(s, show):
    s["a"] = 1
    (section,) = [one for one in show().each("section") if one.one("h2").text == "Expiry"]
    assert section.each("table") == [] and "No record expires." in section.text


def test_long_namespace_is_cut_in_the_choice(s, show):
    with s.within("n" * 600) as other:
        other["a"] = 1
    (option,) = show().each("option")
    assert option["value"] == "n" * 600 and len(option.text) == 80


def test_empty_store_offers_its_first_record(s, clock):
    for writable in (False, True):
        page = read(page_of(Site(s, Links("/t"), writable=writable, clock=clock), "", {}).body)
        assert [link["href"] for link in page.each("a") if "first record" in link.text] == (["/t/set"] if writable else [])
