"""Names that are too long for an address have pages all the same, and what writes finds them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from page_reading import Node, asked_by, read

from store import Store
from store.web.forms import submit
from store.web.links import MOST_LINKED, Links, digest_of
from store.web.pages import long_names, overview
from store.web.pages.long_names import with_long_names
from store.web.pages.query import BadQuery
from store.web.routing import page_of
from store.web.site import Redirect, Site

LONG = "a" * 10_000
OTHERS = [LONG + "b", LONG[:-1], "a" * 300, "a", "b" * 5000]


def followed(site: Site, href: Any) -> Node:
    """The page that a link leads to."""
    path, query = asked_by(href)
    page = page_of(site, path, query)
    assert page.status == 200, page.body
    return read(page.body)


def link(page: Node, text: str) -> str:
    return next(one["href"] for one in page.each("a") if text in one.text and "digest" in one["href"])


@pytest.fixture
def site(s: Store[Any]) -> Site:
    s.update({name: name[-1:] for name in OTHERS})
    return Site(s, Links("/t"), writable=True, live=True)


def test_page_has_an_address_of_bounded_length(site: Site) -> None:
    site.store[LONG] = "a certain text"
    listing = page_of(site, "namespace", {"namespace": ""}).body
    assert "a" * 1000 not in listing and max(len(one["href"] or "") for one in read(listing).each("a")) < 1000
    found = [followed(site, one["href"]) for one in read(listing).each("a") if "record?" in one["href"] and "digest" in one["href"]]
    assert len(found) == 4 and sum("a certain text" in page.text for page in found) == 1


def test_record_is_deleted_by_the_form_of_its_page(site: Site) -> None:
    site.store[LONG] = "a certain text"
    record = followed(site, site.links.record("", LONG))
    question = followed(site, link(record, "Delete"))
    fields = {one["name"]: one["value"] for one in question.each("form")[0].each("input")}
    assert isinstance(submit(site, "delete", fields), Redirect)
    assert LONG not in site.store and sorted(site.store) == sorted(OTHERS)


def test_record_is_set_by_the_form_of_its_page(site: Site) -> None:
    site.store[LONG] = "a certain text"
    form = followed(site, link(followed(site, site.links.record("", LONG)), "Set the value"))
    target = next(one["value"] for one in form.each("form")[0].each("input") if one["name"] == "target")
    done = submit(site, "set", {"target": target or "", "value": "123456"})
    assert isinstance(done, Redirect) and "123456" in followed(site, done.url).text


def test_namespace_with_a_long_name_has_a_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_SHOWN", 1)
    for name in (LONG, *OTHERS):
        with site.store.within(name) as inner:
            inner[LONG] = f"of {len(name)}"
    first = page_of(site, "", {}).body
    assert "a" * 1000 not in first
    with site.store.within(LONG) as inner:
        listing = followed(site, site.links.namespace(LONG))
        record = followed(site, link(listing, "aaa"))
        assert f"of {len(LONG)}" in record.text


def test_record_that_is_gone_is_told_of(site: Site) -> None:
    page = page_of(site, *asked_by(site.links.record("", LONG)))
    assert page.status == 400 and "It was deleted" in page.body and LONG[:1000] not in page.body


def test_search_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_names, "AT_ONCE", 1)
    query = asked_by(site.links.record("", OTHERS[0]))[1]
    assert with_long_names(site, query)["name"] == OTHERS[0]
    with pytest.raises(BadQuery):
        with_long_names(site, query, seconds=0)


@pytest.mark.parametrize("length", [MOST_LINKED, MOST_LINKED + 1])
def test_name_that_fits_is_in_the_address(site: Site, length: int) -> None:
    name = "c" * length
    site.store[name] = "a value"
    query = asked_by(site.links.record("", name))[1]
    assert (query["name"] == name) == (length <= MOST_LINKED) == ("name-digest" not in query)
    assert query.get("name-digest", digest_of(name)) == digest_of(name)
    assert "a value" in followed(site, site.links.record("", name)).text


def test_page_of_a_long_name_has_no_events(site: Site) -> None:
    site.store[LONG] = 1
    assert page_of(site, *asked_by(site.links.record("", LONG))).live is None
    assert page_of(dataclasses.replace(site), "record", {"namespace": "", "name": "a"}).live is not None
