"""The page of checks: on request, one at a time, and the result is kept."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from page_reading import asked_by, read, rows_of

from store import Store
from store.care.verify import Verification
from store.errors import LockTimeout
from store.web.health import Health
from store.web.links import Links
from store.web.routing import page_of
from store.web.site import Site


def query_of(page):
    """The query that the form of a page sends."""
    (form,) = [one for one in page.each("form") if one.each("button")[0].text == "Check now"]
    assert asked_by(form["action"]) == ("health", {}) and form["method"] == "get"
    return {field["name"]: field["value"] for field in form.each("input")}


def verified(monkeypatch, result):
    """Counts the checks of all stores; each gives that result."""
    calls = []

    def verify(self, *, quick=False):
        calls.append(quick)
        if isinstance(result, Exception):
            raise result
        return result() if callable(result) else result

    monkeypatch.setattr(Store, "verify", verify)
    return calls


def test_page_checks_nothing_until_it_is_asked(show, monkeypatch):
    calls = verified(monkeypatch, Verification())
    assert "has not been checked" in show("health").text
    assert calls == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_check_of_a_sound_store(path, clock, kind):
    with Store(path, clock=clock) as s:
        s.update({"a": 1, "b": 2})
        site = Site(s, Links("/t"), clock=clock)
        page = read(page_of(site, "health", {"check": "0"}).body)
        assert "The store is sound: 2 records" in page.one("p", "good").text
        assert "sound" in page_of(site, "", {}).body


def test_result_is_kept_with_its_time_and_shown_without_another_check(show, monkeypatch, clock):
    calls = verified(monkeypatch, Verification(sealed=3))
    first = query_of(show("health"))
    show("health", **first)
    clock.advance(120)
    for query in ({}, first):  # loaded again, by both addresses
        assert "Checked 2 min ago." in show("health", **query).one("p", "good").text
    assert calls == [True]
    again = query_of(show("health"))
    assert again != first
    show("health", **again)
    assert calls == [True, True]


def test_one_check_at_a_time(show, site, clock, monkeypatch):
    began, go_on = threading.Event(), threading.Event()

    def slow():
        began.set()
        assert go_on.wait(60)
        return Verification()

    calls = verified(monkeypatch, slow)
    thread = threading.Thread(target=site.health.check, args=(site.store, clock, 0))
    thread.start()
    try:
        assert began.wait(60)
        assert "A check is running" in show("health", check="0").text
    finally:
        go_on.set()
        thread.join(60)
    assert calls == [True] and site.health.count == 1 and site.health.began is None


def test_error_of_a_check_is_its_result(show, monkeypatch):
    verified(monkeypatch, LockTimeout("another program locks it: try again"))
    page = show("health", check="0")
    assert "could not be checked" in page.text and "another program locks it" in page.one("p", "error").text


def test_error_that_is_a_mistake_ends_the_check(s, clock, monkeypatch):
    verified(monkeypatch, RuntimeError())
    health = Health()
    with pytest.raises(RuntimeError):
        health.check(s, clock, 0)
    verified(monkeypatch, Verification())
    assert health.began is None and health.check(s, clock, 0)


@pytest.mark.damaged
def test_findings_lead_to_the_records(path, clock):
    with Store(path, clock=clock) as s:
        s.update({"a": 1, "b": 2})
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute("UPDATE records SET body = zeroblob(9) WHERE name = 'b'")
        page = read(page_of(Site(s, Links("/t"), clock=clock), "health", {"check": "0"}).body)
    assert "has problems" in page.one("p", "error").text
    assert dict(rows_of(page.each("table", "facts")[0]))["Tampered"] == "1"
    table = page.one("table", "listing")
    assert rows_of(table) == [["b", "unnamed"]]
    assert asked_by(table.each("a")[0]["href"]) == ("record", {"namespace": "", "name": "b"})


def test_findings_are_bounded(show, monkeypatch):
    many = [("", f"name {number}") for number in range(1000)]
    files = [("", "a", "missing")] * 200
    verified(monkeypatch, Verification(tampered=many, files=files, damage=["x" * 9000] * 500, orphans=["o"] * 500))
    page = show("health", check="0")
    assert len(page.each("tr")) < 150 and len(page.each("li")) < 120 and len(page.text) < 60_000
    assert "Tampered: 1,000" in page.text and "and 950 more" in page.text


@pytest.mark.parametrize("check", ["-1", "x", "1e3", "²", "9" * 30])
def test_number_that_no_form_sends(show, monkeypatch, check):
    calls = verified(monkeypatch, Verification())
    assert "whole number" in show("health", 400, check=check).text
    assert calls == []


def test_space_is_shown(s, show):
    s["a"] = 1
    assert {"Database", "Free inside it", "Log of commits (WAL)"} <= dict(rows_of(show("health").each("table", "facts")[-1])).keys()
