"""Pages that are open while a program writes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import shown_stores
from store_web import served

from store import Store
from store.web.app.feeds import MOST_OF_CLIENT

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

NOTICE = "return document.querySelector('#changed button') !== null"
CONTENT = "return document.querySelector('main').textContent"


def opened(site: Any, namespace: str) -> Store[Any]:
    return Store(site.path, namespace=namespace, key=shown_stores.OWN)


def watched(browser: Browser, url: str) -> None:
    """Opens a page, and waits until it listens; a mark tells later that it was not loaded anew."""
    browser.open(url)
    browser.wait("connection for changes", lambda: browser.run("return document.querySelector('[data-listening]') !== null"))
    browser.run("window.isStillOpen = true")


def accepted(browser: Browser, text: str) -> None:
    """Waits for the notice, presses its button, and waits for the text."""
    browser.wait("notice of a change", lambda: browser.run(NOTICE))
    browser.run("document.querySelector('#changed button').click()")
    browser.wait(f"{text!r} on the page", lambda: text in browser.run(CONTENT))
    assert browser.run("return window.isStillOpen === true && document.querySelectorAll('main').length === 1")
    assert browser.console() == []


def test_new_record_appears_in_its_namespace(browser: Browser, writable: Any) -> None:
    with opened(writable, "carts") as s:
        watched(browser, f"{writable.url}/namespace?namespace=carts&prefix=new")
        s["newest"] = {"items": 1}
        accepted(browser, "newest")


def test_change_and_end_of_a_record_appear_on_its_page(browser: Browser, writable: Any) -> None:
    with opened(writable, "carts") as s:
        s["changing"] = "before"
        watched(browser, f"{writable.url}/record?namespace=carts&name=changing")
        s["changing"] = "<b>after</b>"
        accepted(browser, "<b>after</b>")
        assert browser.run("return document.querySelector('main b') === null")
        del s["changing"]
        browser.wait("notice of the end", lambda: browser.run(NOTICE))


def test_page_of_other_records_is_left_alone(browser: Browser, writable: Any) -> None:
    with opened(writable, "carts") as s:
        watched(browser, f"{writable.url}/namespace?namespace=carts&prefix=cart:1")
        s["other"] = 1
        s["cart:1"] = {"items": "seen"}  # what comes later has been noticed later
        browser.wait("notice of a change", lambda: browser.run(NOTICE))


def test_notice_moves_nothing_that_is_read_or_typed(browser: Browser, writable: Any) -> None:
    with opened(writable, "carts") as s:
        s.update({f"long:{at:02}": at for at in range(50)})
        browser.size(400, 500)
        watched(browser, f"{writable.url}/namespace?namespace=carts&prefix=long")
        typed = browser.field("Delete")
        typed.send_keys("half a")
        before = (browser.run("return scrollY"), typed.rect["y"])
        s["long:00"] = "changed"
        browser.wait("notice of a change", lambda: browser.run(NOTICE))
        assert (browser.run("return scrollY"), typed.rect["y"]) == before and before[0] > 0
        assert browser.run("return [document.activeElement.value, document.activeElement.name]") == ["half a", "prefix"]
        accepted(browser, "changed")
        assert browser.run("return scrollY") == before[0]


def test_time_until_expiry_counts_down(browser: Browser, writable: Any) -> None:
    with opened(writable, "carts") as s:
        s.put("short", 1, ttl=3000)
        browser.open(f"{writable.url}/record?namespace=carts&name=short")
        text = "return [...document.querySelectorAll('time')].map((it) => it.textContent).join()"
        before = browser.run(text)
        browser.wait("second that passes", lambda: browser.run(text) != before)


def test_change_while_the_server_was_away_is_noticed(
    browser: Browser, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a laptop slept: the page connects again, and learns what it has missed."""
    monkeypatch.setenv("STORE_WEB_TOKEN", "a-token-of-this-test-that-is-long-enough")
    with Store[Any](path, key=shown_stores.OWN) as s:
        s["a"] = "before"
        with served(path) as site:
            watched(browser, f"{site.url}/record?namespace=&name=a")
        s["a"] = "after"
        with served(path, "--port", str(urlsplit(site.url).port)):
            browser.wait("notice of a change", lambda: browser.run(NOTICE))
            browser.console()  # that the server was away
            accepted(browser, "after")


def test_first_page_learns_of_any_namespace(browser: Browser, writable: Any) -> None:
    watched(browser, writable.url)
    with opened(writable, "a-new-namespace") as s:
        s["a"] = 1
        accepted(browser, "a-new-namespace")
        browser.wait("new stream", lambda: browser.run("return document.querySelector('[data-listening]') !== null"))
        del s["a"]
        browser.wait("notice of the end", lambda: browser.run(NOTICE))
        browser.run("document.querySelector('#changed button').click()")
        browser.wait("page without it", lambda: "a-new-namespace" not in browser.run(CONTENT))


def test_first_record_of_an_empty_store_is_noticed(browser: Browser, path: Path) -> None:
    with Store[Any](path, key=shown_stores.OWN) as s, served(path) as site:
        watched(browser, site.url)
        assert "The store is empty." in browser.run(CONTENT)
        s["very-first"] = 1
        accepted(browser, "very-first")


def test_expiry_is_noticed_on_the_first_page(browser: Browser, path: Path) -> None:
    with Store[Any](path, key=shown_stores.OWN) as s, served(path) as site:
        watched(browser, site.url)
        with s.transaction():
            s["lasting"] = 1
            s.put("short", 1, ttl=5)

        def is_over() -> bool:
            """Accepts each notice; there is one of the expiry, if the page came to show the record before."""
            browser.run("document.querySelector('#changed button')?.click()")
            content = browser.run(CONTENT)
            return "lasting" in content and "short" not in content

        browser.wait("page without the record", is_over)


def test_page_without_events_says_so(browser: Browser, writable: Any) -> None:
    with ExitStack() as streams:
        for _ in range(MOST_OF_CLIENT):
            streams.enter_context(urlopen(f"{writable.url}/events", timeout=60))
        browser.open(writable.url)
        browser.wait("notice", lambda: browser.run(NOTICE))
        text = browser.run("return document.getElementById('changed').textContent")
        assert "not shown by themselves: too many pages" in text
        browser.console()  # that the stream was refused
        browser.run("window.isStillOpen = true")
    browser.wait("end of a stream", lambda: takes_a_stream(writable.url))
    accepted(browser, "Namespaces")
    browser.wait("new stream", lambda: browser.run("return document.querySelector('[data-listening]') !== null"))


def takes_a_stream(url: str) -> bool:
    try:
        with urlopen(f"{url}/events", timeout=60):
            return True
    except HTTPError:
        return False
