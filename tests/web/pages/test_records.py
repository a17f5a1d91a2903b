"""The page of a namespace: search, sorting, paging, values in brief, and damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from page_reading import Node, asked_by, read, rows_of
from spoiled import overwrite_page

from store import Store
from store.web.links import Links
from store.web.pages import records
from store.web.pages.layout import document
from store.web.pages.query import Wanted
from store.web.pages.selecting import Bounds, select
from store.web.routing import page_of
from store.web.site import Site


def names_of(page: Node) -> list[str]:
    tables = page.each("table", "records")
    return [row[0] for row in rows_of(tables[0])] if tables else []


def all_pages(show, **query):
    """The names of all pages, by the links to the next one."""
    names, pages = [], 0
    while True:
        page = show("namespace", **query)
        names += names_of(page)
        pages += 1
        following = page.each("a", "next")
        if not following:
            return names, pages
        path, query = asked_by(following[0]["href"])
        assert path == "namespace"


def test_row_has_value_type_size_and_times(s, show, clock):
    s.put("a", {"x": 1}, ttl=120)
    clock.advance(60)
    (row,) = rows_of(show("namespace", namespace="").one("table", "records"))
    assert row[0] == "a" and "x" in row[1] and "1" in row[1]
    assert row[2:] == ["dict", f"{s.record('a').size} B", "1 min ago", "in 1 min"]


def test_cells_repeat_their_headings_for_narrow_screens(s, show):
    s["a"] = 1
    row = show("namespace", namespace="").one("table", "records").one("tbody").one("tr")
    assert [cell.get("data-label") for cell in row.each("td") if cell.get("role") == "cell"] == [
        "Value", "Type", "Size", "Changed", "Expires",
    ]  # fmt: skip


def test_prefix_finds_names_that_begin_with_it(s, show):
    s.update({"user:1": 1, "user:2": 2, "other": 3})
    page = show("namespace", namespace="", prefix="user:")
    assert names_of(page) == ["user:1", "user:2"]
    assert page.one("table", "records").one("caption").text == "2 records with names that begin with user:"
    form = page.one("form", "search")
    assert [field.get("value") for field in form.each("input") if field.get("name") == "prefix"] == ["user:"]


def test_prefix_that_no_name_has_says_so(s, show):
    s["a"] = 1
    page = show("namespace", namespace="", prefix="b")
    assert names_of(page) == [] and "No record has such a name." in page.text


@pytest.mark.parametrize(
    "sort, reverse, order", [
        ("name", "", "abc"), ("name", "1", "cba"), ("size", "", "bca"), ("size", "1", "acb"),
        ("modified", "", "cab"), ("modified", "1", "bac"), ("expires", "", "cba"), ("expires", "1", "abc"),
    ],
)  # fmt: skip
def test_sorting(s, show, clock, sort, reverse, order):
    for name, size, ttl in (("c", 20, 100), ("a", 30, None), ("b", 10, 200)):
        s.put(name, "x" * size, ttl=ttl)
        clock.advance(1)
    page = show("namespace", namespace="", sort=sort, reverse=reverse)
    assert "".join(names_of(page)) == order
    sorted_by = [heading for heading in page.each("th") if heading.get("aria-sort")]
    assert [one.get("aria-sort") for one in sorted_by] == ["descending" if reverse else "ascending"]


def test_heading_sorts_and_turns_the_order(s, show):
    s["a"] = 1
    by_name = show("namespace", namespace="", prefix="a")
    size = next(heading for heading in by_name.each("th") if heading.text == "Size").one("a")
    query = {"namespace": "", "prefix": "a", "sort": "size", "reverse": "1"}
    assert asked_by(size["href"]) == ("namespace", query)
    turned = next(one for one in show("namespace", **query).each("th") if one.text.startswith("Size")).one("a")
    assert asked_by(turned["href"]) == ("namespace", {"namespace": "", "prefix": "a", "sort": "size"})


@pytest.mark.parametrize("sort", ["name", "size", "modified", "expires"])
@pytest.mark.parametrize("reverse", ["", "1"])
def test_paging_shows_each_record_once(s, show, clock, monkeypatch, sort, reverse):
    monkeypatch.setattr(records, "BOUNDS", Bounds(shown=4))
    names = [f"{number:02}" for number in range(11)]
    for number, name in enumerate(names):
        s.put(name, "x" * (number % 3), ttl=[None, 50, 60][number % 3])
        clock.advance(number % 2)
    found, pages = all_pages(show, namespace="", sort=sort, reverse=reverse)
    assert sorted(found) == names and pages == 3


def test_page_after_the_last_one_says_so(s, show):
    s["a"] = 1
    page = show("namespace", namespace="", after="z")
    assert "There are no more records." in page.text
    assert asked_by(page.one("nav", "pager").one("a")["href"]) == ("namespace", {"namespace": ""})


def test_expired_records_are_left_out(s, show, clock):
    s.put("gone", 1, ttl=1)
    s["kept"] = 1
    clock.advance(2)
    for sort in ("name", "expires"):
        assert names_of(show("namespace", namespace="", sort=sort)) == ["kept"]


def test_large_value_is_not_decoded(s, show):
    s["big"] = "x" * 200_000
    (row,) = rows_of(show("namespace", namespace="").one("table", "records"))
    assert "x" * 100 not in row[1] and "too large" in row[1]


def test_scan_that_reaches_its_bound_says_what_it_left_out(s, site, show, monkeypatch):
    s.update({f"{number:04}": number for number in range(2500)})
    monkeypatch.setattr(records, "BOUNDS", Bounds(read=1000, seconds=60))
    page = show("namespace", namespace="", sort="size", reverse="1")
    assert "Only the first 1,000 records were read" in page.text
    assert len(names_of(page)) == 50


def test_page_of_many_records_by_name_reads_few(s):
    s.update({f"{number:05}": None for number in range(2000)})
    found = select(s.opened, Wanted("", after="01000"))
    assert [found.headers[0].name, found.headers[-1].name, found.after] == ["01001", "01050", "01050"]
    assert found.scanned <= 2 * Bounds().shown


def test_page_where_all_have_expired_is_bounded_and_leads_on(s, clock):
    s.update({f"{number:05}": None for number in range(3)})
    for number in range(300):
        s.put(f"b{number:05}", None, ttl=1)
    s["c"] = 1
    clock.advance(2)
    found = select(s.opened, Wanted("", prefix=""), Bounds(10, 50, 60))
    assert len(found.headers) == 3 and found.after is not None and not found.complete
    names = []
    while found.after is not None:
        found = select(s.opened, Wanted("", after=found.after), Bounds(10, 50, 60))
        names += [header.name for header in found.headers]
    assert names == ["c"]


def spoil(path, statement, *values):
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute(statement, values)


@pytest.mark.damaged
def test_altered_value_does_not_break_the_listing(path, clock):
    with Store(path, clock=clock) as s:
        s.update({"a": 1, "b": 2, "c": 3})
        spoil(path, "UPDATE records SET body = zeroblob(9) WHERE name = 'b'")
        page = read(records.records_page(Site(s, Links("/t"), clock=clock), {"namespace": ""}).body)
    rows = rows_of(page.one("table", "records"))
    assert [row[0] for row in rows] == ["a", "b tampered", "c"]
    assert [row[1] for row in rows if row[0] in "ac"] == ["1", "3"] and "seal" in rows[1][1]


@pytest.mark.parametrize("sort", ["name", "size", "modified", "expires"])
def test_damaged_metadata_does_not_break_the_listing(clock, sort):
    with Store(":memory:", clock=clock) as s:
        s.update({"a": 1, "b": 2, "c": 3})
        s.opened.engine.load([s.opened.find("b")._replace(created=float("nan"), modified=float("nan"))])
        page = read(records.records_page(Site(s, Links("/t"), clock=clock), {"namespace": "", "sort": sort}).body)
    rows = {row[0]: row[1] for row in rows_of(page.one("table", "records"))}
    assert sorted(rows) == ["a", "b corrupt", "c"]
    assert "its metadata is damaged" in rows["b corrupt"]


@pytest.mark.damaged
def test_damaged_file_is_named_above_what_can_be_read(path, clock):
    with Store(path, clock=clock) as s:
        s.update({f"{number:04}": "x" * 100 for number in range(2000)})
    overwrite_page(path)
    with Store(path, clock=clock, mode="r") as s:
        site = Site(s, Links("/t"), clock=clock)
        page = page_of(site, "namespace", {"namespace": "", "sort": "size"})
    assert page.status in (200, 500) and "damaged" in read(page.body).text


def test_store_that_was_deleted_is_a_page(path, clock):
    with Store(path, clock=clock) as s:
        s["a"] = 1
        path.rename(path.with_name("moved"))
        clock.advance(60)
        page = page_of(Site(s, Links("/t"), clock=clock), "namespace", {"namespace": ""})
        path.with_name("moved").rename(path)
    assert page.status == 503 and "was deleted while it was open" in page.body


@pytest.mark.parametrize(
    "query, said", [
        ({"sort": "color"}, "sorted by name, size, modified, expires"),
        ({"sort": "size", "after": "x"}, "a number and a name"),
        ({"sort": "size", "after": "nan x"}, "a number and a name"),
        ({"namespace": "\ud800"}, "valid text"),
        ({"prefix": "\ud800"}, "valid text"),
        ({"after": "\ud800"}, "valid text"),
    ],
)  # fmt: skip
def test_wrong_query_is_a_page_that_says_what_to_write(show, query, said):
    page = show("namespace", 400, **{"namespace": "", **query})
    assert said in page.one("main").one("p", "error").text
    assert asked_by(page.one("ol", "trail").one("a")["href"]) == ("", {})


def test_names_are_text(s, show):
    name = "<script>window.marker = 1</script>\"'><img src=x onerror=marker()>"
    s[name] = name
    page = show("namespace", namespace="")
    assert names_of(page) == [name]
    assert {node.tag for node in page.one("main").walk()} & {"script", "img"} == set()
    path, query = asked_by(page.one("table", "records").each("a")[-1]["href"])
    assert (path, query) == ("record", {"namespace": "", "name": name})


@pytest.mark.parametrize("name", ["", "a/b", "..", "?x=1&y", "#", "é漢\u202e", "%00", "+ +"])
def test_link_leads_to_the_record_of_any_name(s, show, name):
    s[name] = "the value"
    path, query = asked_by(show("namespace", namespace="").one("table", "records").one("tbody").one("a")["href"])
    assert query["name"] == name
    assert "the value" in show(path, **query).text


@pytest.mark.parametrize(("name", "shown"), [("a\nb", r"a\nb"), (" a", '" a"'), ("a ", '"a "'), ("a b", "a b"), (" ", '" "')])
def test_spaces_and_line_breaks_of_a_name_are_seen(s, show, name, shown):
    s[name] = 1
    assert names_of(show("namespace", namespace="")) == [shown]
    assert show("record", namespace="", name=name).one("h1").text == shown


def test_caption_says_how_many_of_all_records_are_shown(s, show):
    s.update({f"{at:03}": at for at in range(50)})
    assert show("namespace", namespace="").one("table", "records").one("caption").text == "50 records"
    s["more"] = 1
    assert show("namespace", namespace="").one("table", "records").one("caption").text == "50 of 51 records"


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("writable", [False, True])
def test_badge_leads_to_admission_where_pages_write(path, clock, writable):
    with Store(path, key=b"the key of somebody else", clock=clock) as s:
        s["a"] = 1
    with Store(path, key=b"the key of these tests", clock=clock) as s:
        s["b"] = 1
        site = Site(s, Links("/t"), writable=writable, clock=clock)
        page = read(document(site, page_of(site, "namespace", {"namespace": ""})))
    links = [asked_by(link["href"]) for link in page.one("table", "records").each("a")]
    assert (("admit", {"namespace": "", "name": "a"}) in links) is writable
    assert not any(path == "admit" and query["name"] == "b" for path, query in links)


@pytest.mark.parametrize("writable", [False, True])
def test_row_leads_to_the_forms_of_its_record_where_pages_write(path, clock, writable):
    with Store(path, clock=clock) as s:
        s["a"] = 1
        site = Site(s, Links("/t"), writable=writable, clock=clock)
        page = read(document(site, page_of(site, "namespace", {"namespace": ""})))
    links = [asked_by(link["href"]) for link in page.one("table", "records").each("a")]
    for form in ("set", "delete"):
        assert ((form, {"namespace": "", "name": "a"}) in links) is writable
