"""The forms of `store web --write`, as a person fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import page_attacks
import pytest
import shown_stores
from page_audit import faults_of, unreadable
from page_crawl import crawl, kind_of

from store import Store

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

FORMS = {"set", "delete", "admit", "settings"}


def opened(site: Any, namespace: str = "carts") -> Store[Any]:
    return Store(site.path, namespace=namespace, key=shown_stores.OWN)


def show(browser: Browser, site: Any, path: str, **query: str) -> None:
    browser.open(f"{site.url}/{path}?{urlencode(query)}")
    checked(browser, site)


def checked(browser: Browser, site: Any, status: int = 200) -> None:
    """The page that is open has that status, and nothing is wrong with it."""
    assert faults_of(browser, site.url, (status,)) + unreadable(browser) == []


def test_forms_are_two_clicks_away(browser: Browser, writable: Any) -> None:
    paths = {kind_of(writable.url, url).path for _, url in crawl(browser, writable.url, lambda kind: 1)}
    assert paths >= FORMS


def test_value_is_set_by_keyboard(browser: Browser, writable: Any) -> None:
    from chromium import ENTER, TAB

    with opened(writable) as s:
        s["typed"] = {"items": 1}
        show(browser, writable, "record", namespace="carts", name="typed")
        browser.follow("Set the value")
        browser.run("arguments[0].focus(); arguments[0].select()", browser.field("Value"))
        browser.press('{"items": 2, "note": "<b>"}')
        for _ in range(20):
            browser.press(TAB)
            if browser.run("return document.activeElement.textContent") == "Set the value":
                break
        browser.press(ENTER)
        browser.wait("value on the page of the record", lambda: s["typed"] == {"items": 2, "note": "<b>"})
        browser.wait("page of the record", lambda: "/record?" in browser.run("return location.href"))
        checked(browser, writable)


def test_what_cannot_be_read_is_shown_again(browser: Browser, writable: Any, trap: Any) -> None:
    text = page_attacks.written(page_attacks.NAMES.index("end of a text area"), trap.address)
    with opened(writable) as s:
        s["misread"] = 1
        show(browser, writable, "set", namespace="carts", name="misread")
        browser.write("Value", text)
        browser.follow("Set the value")
        checked(browser, writable, 400)
        assert browser.field("Value").get_attribute("value") == text and "neither JSON" in browser.text()
        assert s["misread"] == 1


def test_conflict_shows_both_and_loses_nothing(browser: Browser, writable: Any) -> None:
    with opened(writable) as s:
        s["shared"] = "first"
        show(browser, writable, "set", namespace="carts", name="shared")
        s["shared"] = "of another writer"
        browser.write("Value", "mine")
        browser.follow("Set the value")
        checked(browser, writable, 409)
        assert "of another writer" in browser.text() and browser.field("Value").get_attribute("value") == "mine"
        assert s["shared"] == "of another writer"
        browser.follow("Set the value")  # on purpose now
        assert s["shared"] == "mine"


def test_record_is_deleted_after_a_question(browser: Browser, writable: Any) -> None:
    with opened(writable) as s:
        s["unwanted"] = 1
        show(browser, writable, "record", namespace="carts", name="unwanted")
        browser.follow("Delete…")
        assert "unwanted" in s
        checked(browser, writable)
        browser.follow("Delete this record")
        assert "unwanted" not in s


def test_record_is_admitted_as_it_was_shown(browser: Browser, writable: Any) -> None:
    with opened(writable, "") as s:
        show(browser, writable, "record", namespace="", name="foreign dict")
        browser.follow("Admit…")
        checked(browser, writable)
        browser.follow("Admit these bytes")
        checked(browser, writable)
        assert s.record("foreign dict").sealed_by == s.record("json").sealed_by


def test_settings_are_edited_in_a_form_of_their_types(browser: Browser, writable: Any) -> None:
    with opened(writable, "settings") as s:
        show(browser, writable, "settings", namespace="settings")
        kinds = {name: browser.field(name).get_attribute("type") for name in ("theme", "font_size", "notify", "title", "tags")}
        assert kinds == {"theme": "select-one", "font_size": "number", "notify": "checkbox", "title": "text", "tags": "textarea"}
        browser.write("font_size", "18")
        browser.field("notify").click()
        browser.write("tags", "[not JSON")
        browser.follow("Save the changes")
        checked(browser, writable, 400)
        assert browser.field("font_size").get_attribute("value") == "18"  # nothing that was typed is lost
        browser.write("tags", '["sale"]')
        browser.follow("Save the changes")
        checked(browser, writable)
        assert (s["font_size"], s["notify"], s["tags"], s["theme"]) == (18, False, ["sale"], "dark")


def test_what_was_done_is_said_once(browser: Browser, writable: Any) -> None:
    with opened(writable) as s:
        s["said"] = 1
    show(browser, writable, "set", namespace="carts", name="said")
    browser.write("Value", "2")
    browser.follow("Set the value")
    checked(browser, writable)
    assert browser.text().startswith("said\n\nThe value was set.")
    browser.open(browser.run("return location.href"))
    assert "was set" not in browser.text()


def test_refused_field_has_the_focus(browser: Browser, writable: Any) -> None:
    show(browser, writable, "set", namespace="carts", name="focused")
    browser.write("Value", "{not")
    browser.follow("Set the value")
    assert browser.run("return document.activeElement.name") == "value"


def test_links_of_a_row_are_on_one_line(browser: Browser, writable: Any) -> None:
    tops = """
        const row = [...document.querySelectorAll('.records tbody tr')].find((it) => it.textContent.includes('shown_stores.Visitor'));
        return [...row.querySelectorAll('td[data-label=Change] a')].map((it) => Math.round(it.getBoundingClientRect().top));
    """
    for width in (400, 1600):
        browser.size(width)
        show(browser, writable, "namespace", namespace="")
        assert len(set(browser.run(tops))) == 1, width


def test_long_names_fit(browser: Browser, writable: Any) -> None:
    with opened(writable, "n" * 600) as s:
        s["w" * 1500] = 1
    try:
        for path, query in (("", {}), ("namespace", {"namespace": "n" * 600}), ("record", {"namespace": "n" * 600, "name": "w" * 1500})):
            show(browser, writable, path, **query)
    finally:
        with opened(writable, "n" * 600) as s:
            s.clear()
