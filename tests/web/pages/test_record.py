"""The page of a record: value, seal, metadata, content, revisions seen, and the records beside it."""

from __future__ import annotations

import fractions
import pickle
import sqlite3
from contextlib import closing

import pytest
from page_reading import Node, asked_by, read, rows_of

from store import Store
from store.web.links import Links
from store.web.pages.marks import has_changed
from store.web.parts import content as module
from store.web.routing import page_of
from store.web.site import Site


def facts_of(page: Node) -> dict[str, str]:
    return dict(rows_of(page.one("table", "facts")))


def section(page: Node, title: str) -> Node:
    (found,) = [one for one in page.each("section") if one.one("h2").text == title]
    return found


def test_page_has_value_metadata_and_way_back(s, show, clock):
    with s.within("shop") as shop:
        shop.put("a", {"x": [1, 2]}, ttl=7200)
        record = shop.record("a")
    clock.advance(3600)
    page = show("record", namespace="shop", name="a")
    assert page.one("h1").text == "a" and page.one("p", "seal").one("span", "badge-own").text == "own"
    assert "'x'" in section(page, "Value").text
    facts = facts_of(page)
    assert facts["Type"] == "dict" and facts["Codec"] == f"pickle {record.protocol}" and facts["Revision"] == "1"
    assert facts["Expires"] == "in 1 h" and facts["Changed"].endswith("(1 h ago)")
    assert facts["Sealed by"] == record.sealed_by and facts["Version"] == record.version
    steps = [asked_by(link["href"]) for link in page.one("ol", "trail").each("a")]
    assert steps == [("", {}), ("namespace", {"namespace": "shop"})]


def test_expiry_can_be_counted_down(s, show, clock):
    s.put("a", 1, ttl=30)
    page = show("record", namespace="", name="a")
    (expires,) = [one for one in page.one("table", "facts").each("time") if "data-expires" in one.attributes]
    assert float(expires["data-expires"] or 0) - float(page.one("main")["data-now"] or 0) == pytest.approx(30)


def test_record_that_is_not_there(show):
    page = show("record", 404, namespace="", name="none")
    assert "There is no such record" in page.text


@pytest.mark.parametrize("query", [{"name": "\ud800"}, {"namespace": "\ud800"}])
def test_name_that_no_record_can_have(show, query):
    assert "valid text" in show("record", 400, **query).one("p", "error").text


def test_namespace_that_none_can_have(path, clock):
    with Store(path, clock=clock) as s:
        page = page_of(Site(s, Links("/t"), clock=clock), "record", {"namespace": "\0", "name": "a"})
    assert page.status == 400 and "NUL" in read(page.body).text


def test_revisions_that_were_seen(s, show, clock):
    for size in (1, 2000):
        s["a"] = "x" * size
        show("record", namespace="", name="a")
        clock.advance(60)
    s["a"] = "unseen"
    s["a"] = "seen"
    table = section(show("record", namespace="", name="a"), "Revisions seen").one("table")
    assert [row[0] for row in rows_of(table)] == ["revision 4", "revision 2", "revision 1"]
    assert [row[2] for row in rows_of(table)][1] == "2.0 KiB" and [row[5] for row in rows_of(table)][1] == "1 min ago"


def test_record_that_was_deleted_keeps_the_revisions_that_were_seen(s, show):
    s["a"] = 1
    show("record", namespace="", name="a")
    del s["a"]
    table = section(show("record", 404, namespace="", name="a"), "Revisions seen").one("table")
    assert [row[0] for row in rows_of(table)] == ["deleted", "revision 1"]


def test_names_that_do_not_exist_leave_no_history(s, show, site):
    show("record", 404, namespace="", name="none")
    assert site.history.of("", "none") == []


def test_records_beside_it(s, show):
    s.update({"a": 1, "b": 2, "c": 3})
    links = {link.text: asked_by(link["href"])[1]["name"] for link in show("record", namespace="", name="b").one("nav", "pager").each("a")}
    assert links == {"a": "a", "c": "c"}


def test_content_names_classes_and_has_a_disassembly(s, show):
    s["a"] = fractions.Fraction(1, 3)
    content = section(show("record", namespace="", name="a"), "Content")
    assert [item.text for item in content.one("ul", "globals").each("li")] == ["fractions.Fraction"]
    assert "STACK_GLOBAL" in content.one("details").one("pre").text


def test_content_of_a_large_record_is_not_described(s, show, monkeypatch):
    monkeypatch.setattr(module, "INSPECTED_BYTES", 100)
    s["a"] = "x" * 200
    content = section(show("record", namespace="", name="a"), "Content")
    assert "`" not in content.text and "store inspect" in content.text and content.each("pre") == []


def test_long_disassembly_is_cut(s, show, monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXT", 50)
    s["a"] = list(range(1000))
    details = section(show("record", namespace="", name="a"), "Content").one("details")
    assert len(details.one("pre").text) <= 50 and "more characters" in details.text


class Planted:
    """Its pickle would create a file."""

    def __reduce__(self):
        return (open, ("planted", "w"))


@pytest.mark.damaged
def test_record_of_another_user_runs_nothing(path, clock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store(path, clock=clock, key=b"the key of somebody else, as long") as other:
        other["a"] = "plain"
        row = other.opened.find("a")._replace(body=pickle.dumps(Planted()))
        other.opened.engine.load([other.opened.values.sealer.seal(row)])
    with pytest.warns(UserWarning, match="sealed with a key"), Store(path, clock=clock) as s:
        page = read(page_of(Site(s, Links("/t"), clock=clock), "record", {"namespace": "", "name": "a"}).body)
    assert page.one("p", "seal").one("span", "badge").text == "refused"
    assert page.one("p", "warning").text and "io.open" in section(page, "Content").text
    assert not (tmp_path / "planted").exists()


@pytest.mark.damaged
@pytest.mark.parametrize(
    "change, badge, said",
    [
        ("body = zeroblob(9)", "tampered", "seal"),
        ("seal = zeroblob(40), crc = crc + 1", "corrupt", "seal is damaged"),
        ("expires = 5", "tampered", "seal"),  # even its metadata cannot be believed
    ],
)
def test_damaged_record_says_what_is_wrong(path, clock, change, badge, said):
    with Store(path, clock=clock) as s:
        s["a"] = {"x": 1}
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute(f"UPDATE records SET {change}")
        page = page_of(Site(s, Links("/t"), clock=clock), "record", {"namespace": "", "name": "a"})
    shown = read(page.body)
    assert shown.one("p", "seal").one("span", "badge").text == badge
    assert said in shown.one("p", "error").text


def test_page_says_where_changes_come_from(s, clock):
    s["a/b"] = 1
    with_events = Site(s, Links("/t"), clock=clock, live=True)
    asked = {"namespace": "", "name": "a/b"}, {"namespace": "", "prefix": "a", "sort": "size", "reverse": "1"}
    for path, query in zip(("record", "namespace"), asked, strict=True):
        address, sent = asked_by(page_of(with_events, path, query).live)
        assert address == "events" and sent == {**query, "seen": sent["seen"]}
        assert not has_changed(with_events, sent)
        s["a/b"] = 2
        assert has_changed(with_events, sent)
    assert page_of(Site(s, Links("/t"), clock=clock), "record", {"name": "a/b"}).live is None
