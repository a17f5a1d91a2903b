"""The page of checks: on request, one at a time, and the result is kept."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from contextlib import closing

import pytest
from page_reading import asked_by, read, rows_of

from store import Store
from store.care import verify as verifying
from store.care.verify import Verification
from store.errors import LockTimeout
from store.web import health as module
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

    def verify(ns, *, quick=False, progress=int):
        calls.append(quick)
        if isinstance(result, Exception):
            raise result
        return result(progress) if callable(result) else result

    monkeypatch.setattr(module, "verify", verify)
    return calls


def test_page_checks_nothing_until_it_is_asked(show, monkeypatch):
    calls = verified(monkeypatch, Verification())
    assert "has not been checked" in show("health").text
    assert calls == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_check_of_a_sound_store(path, clock, kind):
    with Store(path, clock=clock) as s:
        s.update({"a": 1, "b": 2})
        site = Site(s, Links("/t"), clock=clock, health=Health(wait=60))
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


@pytest.fixture
def slow(site, monkeypatch):
    """A check that has read 2,000 records, and goes on when `go_on` is set; pages do not wait for it."""
    began, go_on = threading.Event(), threading.Event()

    def check(progress):
        progress(0)
        progress(2000)
        began.set()
        assert go_on.wait(60)
        progress(3000)
        return Verification(sealed=4000)

    site = dataclasses.replace(site, health=Health(wait=0))
    go_on.site, go_on.began, go_on.calls = site, began, verified(monkeypatch, check)
    yield go_on
    go_on.set()
    site.health.join()


def shown(site, **query):
    return read(str(page_of(site, "health", query).body))


def test_page_does_not_wait_for_a_check(slow):
    shown(slow.site, check="0")
    assert slow.began.wait(60)
    for query in ({}, {"check": "0"}):  # loaded again, by both addresses
        page = shown(slow.site, **query)
        assert "A check is running. It began now; 2,000 records so far." in page.text and page.each("form") == []
    slow.set()
    slow.site.health.join()
    assert "4,000 records" in shown(slow.site).one("p", "good").text
    assert slow.calls == [True] and slow.site.health.count == 1 and slow.site.health.running is None


def test_check_can_be_stopped(slow):
    shown(slow.site, check="0")
    assert slow.began.wait(60)
    stop = next(link["href"] for link in shown(slow.site).each("a") if link.text == "stop it")
    path, query = asked_by(stop)
    assert path == "health"
    shown(slow.site, stop="7")  # of another check
    shown(slow.site, **query)
    slow.set()
    slow.site.health.join()
    assert "the check was stopped" in shown(slow.site).one("p", "error").text
    shown(slow.site, check="1")
    shown(slow.site, **query)  # the address of the one that was stopped, loaded again
    slow.site.health.join()
    assert "4,000 records" in shown(slow.site).one("p", "good").text


def test_check_ends_with_the_server(slow):
    shown(slow.site, check="0")
    assert slow.began.wait(60)
    slow.site.health.end(0)
    slow.set()
    slow.site.health.join()
    assert "stopped" in slow.site.health.last.problem
    slow.site.health.end(0)


def test_check_counts_what_it_has_read(s, monkeypatch):
    monkeypatch.setattr(verifying, "PROGRESS_RECORDS", 2)
    s.update(dict.fromkeys("abcde", 1))
    seen = []
    assert verifying.verify(s.opened, quick=True, progress=seen.append).sealed == 5
    assert seen == [0, 0, 2, 4]


def test_error_of_a_check_is_its_result(show, monkeypatch):
    verified(monkeypatch, LockTimeout("another program locks it: try again"))
    page = show("health", check="0")
    assert "could not be checked" in page.text and "another program locks it" in page.one("p", "error").text


def test_error_that_is_a_mistake_ends_the_check(show, site, monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    verified(monkeypatch, RuntimeError())
    assert "its terminal shows where" in show("health", check="0").one("p", "error").text
    assert seen == [RuntimeError]
    verified(monkeypatch, Verification(sealed=1))
    assert site.health.running is None and "sound" in show("health", check="1").text


@pytest.mark.damaged
def test_findings_lead_to_the_records(path, clock):
    with Store(path, clock=clock) as s:
        s.update({"a": 1, "b": 2})
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute("UPDATE records SET body = zeroblob(9) WHERE name = 'b'")
        page = read(page_of(Site(s, Links("/t"), clock=clock, health=Health(wait=60)), "health", {"check": "0"}).body)
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
