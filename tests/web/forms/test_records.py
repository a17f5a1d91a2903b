"""Setting, touching and deleting a record by forms: what is typed is stored, unless another writer was faster."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from browsed_forms import Form, forms_in

from store import Store
from store.web.forms import ACTIONS, PATHS, form_page, namespace_forms, record_forms, submit
from store.web.forms.done import after
from store.web.links import Links
from store.web.routing import page_of
from store.web.site import Page, Redirect, Site


@pytest.fixture
def s(location: str, clock: Callable[[], float]) -> Iterator[Store]:
    """On each engine: conflicts are found by their transactions."""
    with Store(location, clock=clock) as opened:
        yield opened


NAMES = ["a", "a/../b", "a&b=c d", "<b>", "\u202etxt", "a\nb", '"', "é"]


def opened(site: Site, path: str, **query: str) -> Form:
    """The form of a page, for whose action `path` stands."""
    page = form_page(site, path, query)
    assert page.status == 200, page.body
    return forms_in(page.body)[path]


def refused(found: Page | Redirect, status: int, says: str) -> Page:
    assert isinstance(found, Page)
    assert (found.status, says in found.body) == (status, True), found.body
    return found


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_record_is_set_and_deleted_by_its_name(site: Site, s: Store, name: str) -> None:
    s[name] = {"a": [1, 2]}
    found = submit(site, "set", opened(site, "set", name=name).sent(value='{"a": 3}'))
    assert found == Redirect(site.links.record("", name))
    assert s[name] == {"a": 3}
    form = forms_in(form_page(site, "delete", {"name": name}).body)["delete"]
    assert isinstance(submit(site, "delete", form.sent()), Redirect)
    assert list(s) == []


def test_value_keeps_codec_expiry_and_type(site: Site, s: Store) -> None:
    before = s.put("x", [1], codec="json", ttl=1000)
    submit(site, "set", opened(site, "set", name="x").sent(value="[1, 2]"))
    after = s.record("x")
    assert (s["x"], after.codec, after.revision) == ([1, 2], "json", 2)
    assert after.expires is not None and after.expires == before.expires


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"as": "value", "value": "(1, 'a')"}, (1, "a")),
        ({"as": "text", "value": "one\r\ntwo"}, "one\ntwo"),
        ({"as": "base64", "value": "AP8="}, b"\x00\xff"),
    ],
)
def test_new_record_of_each_form(site: Site, s: Store, given: dict[str, str], expected: object) -> None:
    form = opened(site, "set", namespace="n")
    assert submit(site, "set", form.sent(new="a b", **given)) == Redirect(site.links.record("n", "a b"))
    with s.within("n") as inner:
        assert inner["a b"] == expected


def test_new_record_makes_a_namespace(site: Site, s: Store) -> None:
    form = opened(site, "set")
    assert form.fields["namespace"] == ""
    page = refused(submit(site, "set", form.sent(namespace="new one", new="a", value="{")), 400, "neither JSON")
    again = forms_in(page.body)["set"]
    assert again.fields["namespace"] == "new one"
    assert submit(site, "set", again.sent(value="1")) == Redirect(site.links.record("new one", "a"))
    assert s.namespaces() == ["new one"]


def test_namespace_that_a_line_cannot_hold_stays(site: Site, s: Store) -> None:
    form = opened(site, "set", namespace="a\nb")
    assert "namespace" not in form.fields
    submit(site, "set", form.sent(new="x", value="1"))
    assert s.namespaces() == ["a\nb"]


def test_new_record_whose_name_is_taken(site: Site, s: Store) -> None:
    form = opened(site, "set")
    s["x"] = "theirs"
    page = refused(submit(site, "set", form.sent(new="x", value="'mine'")), 409, "There is a record of this name already")
    assert "theirs" in page.body and s["x"] == "theirs"
    submit(site, "set", forms_in(page.body)["set"].sent())
    assert s["x"] == "mine"


def test_name_that_no_address_holds_leads_to_its_page_too(site: Site, s: Store) -> None:
    done = submit(site, "set", opened(site, "set").sent(new="y" * 100_000, value="1"))
    assert done == Redirect(site.links.record("", "y" * 100_000)) and len(done.url) < 1000
    assert len(s) == 1


def test_time_that_was_not_typed(site: Site, s: Store) -> None:
    sent = opened(site, "set").sent(new="x", value="1", lifetime="for", ttl=" ")
    refused(submit(site, "set", sent), 400, "Type a time")


def test_namespace_that_an_engine_cannot_hold_is_a_wrong_address(location: str) -> None:
    if location == ":memory:":
        pytest.skip("a store in memory is never opened again")
    with Store(location) as s:
        s["a"] = 1
    with Store(location, mode="w") as s:  # a file may have such a namespace, of an older store
        found = page_of(Site(s, Links("/token")), "namespace", {"namespace": "\0"})
        assert found.status == (400 if location.startswith("postgres") else 200), found.body


def test_expiry_never_and_after(site: Site, s: Store) -> None:
    s.put("x", 1, ttl=100)
    submit(site, "set", opened(site, "set", name="x").sent(value="2", lifetime="never"))
    assert s.record("x").expires is None
    submit(site, "set", opened(site, "set", name="x").sent(value="3", lifetime="for", ttl="2h"))
    record = s.record("x")
    assert record.expires is not None
    assert (record.expires - record.modified).total_seconds() == 7200


def test_lifetime_of_a_record_that_never_expires_has_two_choices(site: Site, s: Store) -> None:
    s["x"] = 1
    assert "as it is:" not in form_page(site, "set", {"name": "x"}).body
    assert opened(site, "set", name="x").fields["lifetime"] == "never"
    s.touch("x", 100)
    assert opened(site, "set", name="x").fields["lifetime"] == "keep"


def test_refused_value_is_shown_again_with_the_reason(site: Site, s: Store) -> None:
    s.put("x", [1], codec="json")
    form = opened(site, "set", name="x")
    page = refused(submit(site, "set", form.sent(value="(1, 2)")), 400, "JSON has no tuple")
    assert forms_in(page.body)["set"].fields["value"] == "(1, 2)"
    page = refused(submit(site, "set", form.sent(value="hello")), 400, "neither JSON nor a Python literal")
    page = refused(submit(site, "set", form.sent(lifetime="for", ttl="soon")), 400, "is no time")
    assert forms_in(page.body)["set"].fields["lifetime"] == "for"
    refused(submit(site, "set", form.sent(ttl="5")), 400, "choose “after”")
    assert s["x"] == [1]
    again = forms_in(page.body)["set"].sent(value="(1, 2)", codec="pickle", lifetime="never", ttl="")
    assert isinstance(submit(site, "set", again), Redirect)
    assert s["x"] == (1, 2)


def test_conflict_shows_both_values_and_loses_none(site: Site, s: Store) -> None:
    s["x"] = "the first"
    form = opened(site, "set", name="x")
    s["x"] = "of another writer"
    page = refused(submit(site, "set", form.sent(value="of mine")), 409, "of another writer")
    assert s["x"] == "of another writer"
    again = forms_in(page.body)["set"]
    assert again.fields["value"] == "of mine"
    assert isinstance(submit(site, "set", again.sent()), Redirect)
    assert s["x"] == "of mine"


def test_conflict_with_a_deletion_and_with_a_new_record(site: Site, s: Store) -> None:
    s["x"] = "old"
    form = opened(site, "set", name="x")
    del s["x"]
    page = refused(submit(site, "set", form.sent(value="typed")), 409, "was deleted")
    submit(site, "set", forms_in(page.body)["set"].sent())
    assert s["x"] == "typed"
    page = refused(submit(site, "set", opened(site, "set").sent(new="x", value='"new"')), 409, "typed")
    assert s["x"] == "typed"
    submit(site, "set", forms_in(page.body)["set"].sent())
    assert s["x"] == "new"


def test_touch_changes_the_expiry_alone(site: Site, s: Store) -> None:
    s["x"] = "value"
    before = s.record("x")
    form = forms_in(record_forms(site, s, before) or refuse())["touch"]
    assert submit(site, "touch", form.sent(lifetime="for", ttl="60")) == Redirect(site.links.record("", "x"))
    assert s.record("x").expires is not None
    page = refused(submit(site, "touch", form.sent(lifetime="never")), 409, "was changed meanwhile")
    assert s.record("x").expires is not None
    assert isinstance(submit(site, "touch", forms_in(page.body)["touch"].sent()), Redirect)
    assert (s.record("x").expires, s["x"]) == (None, "value")


def refuse() -> None:
    raise AssertionError("there are no forms")


def test_delete_of_a_changed_record_asks_again(site: Site, s: Store) -> None:
    s["x"] = 1
    form = opened(site, "delete", name="x")
    s["x"] = 2
    page = refused(submit(site, "delete", form.sent()), 409, "Nothing was deleted")
    assert s["x"] == 2
    assert isinstance(submit(site, "delete", forms_in(page.body)["delete"].sent()), Redirect)
    refused(submit(site, "delete", form.sent()), 404, "no such record")


@pytest.mark.damaged
def test_record_with_damaged_metadata_can_be_deleted(tmp_path: Path) -> None:
    place = tmp_path / "damaged.db"
    with Store(place) as s:
        s["x"] = 1
    with closing(sqlite3.connect(place)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute("CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = 'records'")
        conn.execute("UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT', ''), ' REAL', '') WHERE name = 'records'")
        conn.commit()
    with closing(sqlite3.connect(place)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        assert conn.execute("UPDATE records SET created = 'never'").rowcount == 1
        conn.execute("UPDATE sqlite_schema SET sql = (SELECT sql FROM kept) WHERE name = 'records'")
        conn.execute("DROP TABLE kept")
        conn.commit()
    with Store(place) as s:
        site = Site(s, Links("/token"), writable=True)
        page = form_page(site, "delete", {"name": "x"})
        assert "Its metadata is damaged" in page.body
        form = forms_in(page.body)["delete"]
        assert isinstance(submit(site, "delete", form.sent()), Redirect)
        assert list(s) == []
        s["x"] = 2
        refused(submit(site, "delete", form.sent()), 409, "Nothing was deleted")
        assert s["x"] == 2


def test_prefix_deletes_exactly_the_records_that_were_shown(site: Site, s: Store) -> None:
    s.update({f"user:{n}": n for n in range(25)} | {"user": 0, "v": 0})
    first = forms_in(namespace_forms(site, "") or refuse())["delete-prefix"]
    page = submit(site, "delete-prefix", first.sent(prefix="user:"))
    page = refused(page, 200, "25 records would be deleted")
    form = forms_in(page.body)["delete-prefix"]
    s["user:3"] = "changed"
    page = refused(submit(site, "delete-prefix", form.sent()), 409, "Nothing was deleted")
    assert len(s) == 27
    assert isinstance(submit(site, "delete-prefix", forms_in(page.body)["delete-prefix"].sent()), Redirect)
    assert sorted(s) == ["user", "v"]
    refused(submit(site, "delete-prefix", first.sent(prefix="")), 400, "Type how the names begin")
    refused(submit(site, "delete-prefix", first.sent(prefix="none")), 200, "No name begins so")


def test_prefix_deletes_so_many_at_a_time(site: Site, s: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST", "MOST_OPTIMISTIC"):
        monkeypatch.setattr(f"store.web.forms.prefixes.{name}", 3)
    s.update({f"a{n}": n for n in range(5)})
    page = form_page(site, "delete", {"prefix": "a"})
    assert "At most 3 are deleted at a time" in page.body
    submit(site, "delete-prefix", forms_in(page.body)["delete-prefix"].sent())
    assert list(s) == ["a3", "a4"]


@pytest.mark.slow
def test_prefix_of_many_records_is_deleted_in_parts_that_the_engine_takes(site: Site, s: Store) -> None:
    for part in range(2):
        s.update({f"a{part}-{n}": n for n in range(600)})
    while list(s.names("a", limit=1)):
        form = forms_in(form_page(site, "delete", {"prefix": "a"}).body)["delete-prefix"]
        found = submit(site, "delete-prefix", form.sent())
        assert isinstance(found, Redirect), found.body


@pytest.mark.parametrize("action", ACTIONS)
def test_form_without_its_record_changes_nothing(site: Site, s: Store, action: str) -> None:
    s["x"] = 1
    for fields in ({}, {"target": "x"}, {"target": '["", 1, null]'}, {"target": "[" * 100_000}):
        refused(submit(site, action, fields), 400, "open it again")
    assert s["x"] == 1


def test_unknown_action_and_unknown_form(site: Site) -> None:
    refused(submit(site, "drop", {}), 404, "no action")
    assert form_page(site, "drop", {}).status == 404


def test_names_that_no_record_can_have(site: Site) -> None:
    refused(submit(site, "set", opened(site, "set").sent(new="a\0b", value="1")), 400, "NUL")
    assert form_page(site, "set", {"namespace": "\ud800"}).status == 400


def test_value_that_no_text_spells_is_replaced_on_request_alone(site: Site, s: Store) -> None:
    s["x"] = frozenset((1, 2))
    page = form_page(site, "set", {"name": "x"})
    assert "cannot be edited here" in page.body
    refused(submit(site, "set", forms_in(page.body)["set"].sent()), 400, "neither JSON")
    assert s["x"] == frozenset((1, 2))


@pytest.mark.parametrize("path", PATHS)
def test_pages_that_only_show_have_no_forms(s: Store, path: str) -> None:
    s["x"] = 1
    site = Site(s, Links("/token"))
    page = form_page(site, path, {"name": "x"})
    assert (page.status, forms_in(page.body)) == (403, {})
    assert record_forms(site, s, s.record("x")) is None
    assert namespace_forms(site, "") is None
    writer = Site(s, Links("/token"), writable=True)
    for action in ACTIONS:
        refused(submit(site, action, {"target": '["", "x", null]', "value": "2"}), 403, "--write")
    assert record_forms(writer, s, s.record("x")) is not None
    assert s["x"] == 1


@pytest.mark.parametrize("given", [{"value": "{not"}, {"value": "1", "lifetime": "for", "ttl": "tomorrow"}])
def test_refused_field_takes_the_focus_and_names_its_reason(site: Site, given: dict[str, str]) -> None:
    page = refused(submit(site, "set", opened(site, "set", name="x").sent(**given)), 400, "role=\"alert\"")
    (control,) = re.findall(r"<(?:input|textarea)[^>]* autofocus[^>]*>", page.body)
    (reason,) = re.findall(r'aria-describedby="([^"]+)"', control)
    assert 'aria-invalid="true"' in control and f'id="{reason}"' in page.body
    assert "autofocus" not in form_page(site, "set", {"name": "x"}).body


def test_page_says_once_more_what_a_form_has_done(site: Site, s: Store) -> None:
    s["x"] = 1
    for action in ACTIONS:
        url = urlsplit(after(site.links.record("", "x"), action))
        page = page_of(site, "record", dict(parse_qsl(url.query, keep_blank_values=True)))
        assert page.status == 200 and page.body.startswith('<p class="notice good"'), action
    assert after(site.links.page(), "other") == site.links.page()


def test_page_says_of_nothing_that_it_was_done(site: Site, s: Store) -> None:
    s["x"] = 1
    reading = Site(s, Links("/token"))
    for shown, query in ((site, {"name": "x"}), (site, {"name": "x", "done": "<b>"}), (reading, {"name": "x", "done": "set"})):
        assert "notice good" not in page_of(shown, "record", query).body
    assert "notice good" not in page_of(site, "record", {"name": "gone", "done": "set"}).body
