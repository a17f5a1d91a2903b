"""Marks of what a page shows: a change of it is noticed, and one of other records is not."""

from __future__ import annotations

import pytest
from page_reading import asked_by

from store.web.links import Links
from store.web.pages.marks import has_changed
from store.web.pages.selecting import Bounds
from store.web.routing import page_of
from store.web.site import Site


@pytest.mark.parametrize("change, is_other", [
    (lambda s: s.touch("b", 60), True),
    (lambda s: s.__delitem__("b"), True),
    (lambda s: s.__setitem__("aa", 1), True),
    (lambda s: s.__setitem__("b", [s.pop("b")]), True),  # revision 1, once more
    (lambda s: s.__setitem__("z", 1), False),  # on the next page
    (lambda s: s.get("b"), False),
])  # fmt: skip
def test_change_of_what_a_page_shows(s, clock, change, is_other, monkeypatch):
    monkeypatch.setattr("store.web.pages.records.BOUNDS", Bounds(shown=3))
    monkeypatch.setattr("store.web.pages.marks.BOUNDS", Bounds(shown=3))
    s.update(a=1, b=1, c=1, y=1)
    site = Site(s, Links("/t"), clock=clock, live=True)
    for path, query in ("namespace", {}), ("record", {"name": "b"}):
        _, sent = asked_by(page_of(site, path, {"namespace": "", **query}).live)
        assert not has_changed(site, sent)
        if path == "namespace":
            change(s)
            assert has_changed(site, sent) is is_other


def test_listing_that_ends_at_a_bound_has_no_mark(s, clock, monkeypatch):
    """What it shows depends on how far the search came in its time."""
    s.update({f"{number:04}": number for number in range(2500)})
    site = Site(s, Links("/t"), clock=clock, live=True)
    _, whole = asked_by(page_of(site, "namespace", {"namespace": "", "sort": "size"}).live)
    monkeypatch.setattr("store.web.pages.records.BOUNDS", Bounds(read=1000))
    monkeypatch.setattr("store.web.pages.marks.BOUNDS", Bounds(read=1000))
    _, cut = asked_by(page_of(site, "namespace", {"namespace": "", "sort": "size"}).live)
    assert "seen" in whole and "seen" not in cut
    s["0000"] = "large" * 100
    assert not has_changed(site, whole) and not has_changed(site, cut)


def test_record_that_came_or_went_since_its_page_was_made(s, clock):
    site = Site(s, Links("/t"), clock=clock, live=True)
    _, absent = asked_by(page_of(site, "record", {"namespace": "", "name": "a"}).live)
    s.put("a", 1, ttl=60)
    assert has_changed(site, absent)
    _, there = asked_by(page_of(site, "record", {"namespace": "", "name": "a"}).live)
    assert not has_changed(site, there)
    clock.advance(61)
    assert has_changed(site, there) and not has_changed(site, absent)
