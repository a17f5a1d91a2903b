"""The application without a server: what each request is answered, and with which headers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: `store web` was not tested")

from asgi import Answer, App, run, scope_of
from starlette.requests import Request
from web_requests import DOOR, FORM, HOST, OWN_FORM, TOKEN, ask

from store import Store
from store.display.html import element
from store.errors import (
    Conflict,
    Corrupt,
    LockTimeout,
    NotAStore,
    ReadOnly,
    StorageError,
    StoreClosed,
    StoreError,
    Unsupported,
)
from store.web import forms, routing
from store.web.app import application as module
from store.web.app import bodies
from store.web.app.application import application
from store.web.app.feeds import Feeds
from store.web.links import Links
from store.web.pages.layout import HEADERS
from store.web.site import Page, Redirect, Site

TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def site(path) -> Any:
    with Store(path) as s:
        s["greeting"] = "hello"
        yield Site(s, Links(f"/{TOKEN}"), writable=True)


@pytest.fixture
def asked(site: Site) -> Callable[..., Answer]:
    """Asks one thing of the application in an event loop of its own; paths begin behind the token."""

    def asked(path: str, query: str = "", **options: Any) -> Answer:
        app = application(site, DOOR, Feeds(site))
        return run(ask(app, f"/{TOKEN}{path}", query, **options))

    return asked


def with_headers(answer: Answer) -> Answer:
    """The answer, once it is certain that it has each header of pages just once, and no cookie."""
    for name, value in HEADERS.items():
        assert [found for given, found in answer.headers if given == name.lower()] == [value]
    assert answer.set_cookie is None
    return answer


def type_of(answer: Answer) -> str:
    return dict(answer.headers)["content-type"]


def test_pages_are_those_of_the_site(asked: Callable[..., Answer]) -> None:
    first = with_headers(asked("/"))
    assert (first.status, type_of(first)) == (200, "text/html; charset=utf-8")
    assert first.body.startswith(b"<!doctype html>")
    listed = with_headers(asked("/namespace", "namespace="))
    assert b"greeting" in listed.body
    one = with_headers(asked("/record", "namespace=&name=greeting"))
    assert one.status == 200 and b"hello" in one.body


def test_missing_page_and_record_are_pages(asked: Callable[..., Answer]) -> None:
    for path, query in [("/no/such", ""), ("/record", "namespace=&name=none"), ("/do/set", ""), ("/../../etc/passwd", "")]:
        answer = with_headers(asked(path, query))
        assert (answer.status, type_of(answer)) == (404, "text/html; charset=utf-8")


def test_head_has_the_status_of_the_page(asked: Callable[..., Answer]) -> None:
    assert with_headers(asked("/", method="HEAD")).status == 200
    assert with_headers(asked("/none", method="HEAD")).status == 404
    assert type_of(asked("/events", method="HEAD")).startswith("text/event-stream")


def test_style_sheet_and_script_are_sent_and_no_other_file(asked: Callable[..., Answer]) -> None:
    for file, kind in [("page.css", "text/css"), ("page.js", "text/javascript")]:
        answer = with_headers(asked(f"/static/{file}"))
        assert answer.status == 200 and type_of(answer).startswith(kind)
    for file in ("page.html", "..", "%2e%2e", "../look.py", "", "page.css/"):
        assert with_headers(asked(f"/static/{file}")).status in (307, 404)


def test_refusals_have_the_headers_and_say_nothing_of_the_store(site: Site) -> None:
    app = application(site, DOOR, Feeds(site))
    wrong: list[tuple[int, dict[str, Any]]] = [
        (404, {"path": "/"}), (404, {"path": "/wrong/"}), (404, {"path": "/wrong/static/page.css"}),
        (421, {"path": f"/{TOKEN}/", "headers": {"host": "evil.example"}}),
        (403, {"path": f"/{TOKEN}/do/delete", "method": "POST"}),
        (403, {"path": f"/{TOKEN}/events", "headers": {"origin": "http://evil.example"}}),
    ]  # fmt: skip
    for status, options in wrong:
        answer = with_headers(run(ask(app, **options)))
        assert (answer.status, type_of(answer)) == (status, TEXT)
        assert site.store.location.encode() not in answer.body and TOKEN.encode() not in answer.body


def test_wrong_token_and_wrong_path_look_the_same(site: Site) -> None:
    app = application(site, DOOR, Feeds(site))
    answers = [run(ask(app, path)) for path in ("/", "/wrong/", "/wrong/record", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", "/favicon.ico")]
    assert len({(one.status, tuple(one.headers), one.body) for one in answers}) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST", "get"])
def test_other_methods_are_not_allowed(asked: Callable[..., Answer], method: str) -> None:
    for path in ("/", "/record", "/events", "/static/page.css"):
        assert with_headers(asked(path, method=method, headers=OWN_FORM)).status == 405


# -- forms


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """What reaches the forms, which answer with a page or lead to the first one."""
    calls: list[tuple[str, dict[str, str]]] = []

    def submit(site: Site, action: str, fields: dict[str, str]) -> Page | Redirect:
        calls.append((action, fields))
        if action == "conflict":
            return Page("Another program was faster", element("p", fields["value"]), status=409)
        return Redirect(site.links.record("", "a/b?c&d\r\nX-Other: 1"))

    monkeypatch.setattr(forms, "submit", submit)
    return calls


def test_form_leads_to_a_page(asked: Callable[..., Answer], submitted: list[Any]) -> None:
    body = urlencode({"name": "é\n", "value": "<b>", "empty": ""}) + "&name=last"
    answer = with_headers(asked("/do/set", method="POST", headers=FORM, body=body.encode()))
    assert submitted == [("set", {"name": "last", "value": "<b>", "empty": ""})]
    assert answer.status == 303
    assert dict(answer.headers)["location"].startswith(f"/{TOKEN}/record?namespace=&name=a%2Fb%3Fc%26d")
    assert "x-other" not in dict(answer.headers)
    assert dict(answer.headers)["location"].endswith("&done=set")


def test_page_of_a_form_has_its_status(asked: Callable[..., Answer], submitted: list[Any]) -> None:
    answer = with_headers(asked("/do/conflict", method="POST", headers=FORM, body=b"value=%3Cb%3E"))
    assert answer.status == 409 and b"&lt;b&gt;" in answer.body


BAD: list[tuple[int, dict[str, str], bytes]] = [
    (415, {"content-type": "multipart/form-data; boundary=x"}, b"--x--"),
    (415, {"content-type": "application/json"}, b"{}"),
    (415, {"content-type": "text/plain"}, b"name=x"),
    (400, {}, b"name=%ff"),
    (400, {}, b"name=\xff"),
    (400, {}, b"&".join(b"x%d=1" % number for number in range(1001))),
    (413, {"content-length": str(bodies.MOST_BYTES + 1)}, b""),
]


@pytest.mark.parametrize(("status", "headers", "body"), BAD, ids=lambda part: str(part)[:30])
def test_body_that_is_no_form_is_refused(
    asked: Callable[..., Answer], submitted: list[Any], status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = with_headers(asked("/do/set", method="POST", headers={**FORM, **headers}, body=body))
    assert (answer.status, type_of(answer)) == (status, TEXT)
    assert submitted == []


def test_body_without_a_length_is_limited_too(
    asked: Callable[..., Answer], submitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 10)
    assert asked("/do/set", method="POST", headers=FORM, body=b"name=12345").status == 303
    assert asked("/do/set", method="POST", headers=FORM, body=b"name=123456").status == 413
    assert len(submitted) == 1


# -- errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict("c", name="a"), 409), (LockTimeout("l"), 503), (StoreClosed("x"), 503), (ReadOnly("r"), 403), (Unsupported("u"), 501),
        (Corrupt("<script>", name="a"), 500), (NotAStore("n"), 500), (StorageError("the disk is full"), 503),
    ],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_error_of_a_store_is_a_page_that_says_what_to_do(
    asked: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, error: StoreError, status: int
) -> None:
    monkeypatch.setattr(routing, "page_of", failing(error))
    answer = with_headers(asked("/"))
    assert answer.status == status
    assert str(error).replace("<", "&lt;").replace(">", "&gt;").encode() in answer.body


def test_mistake_of_the_program_is_a_page_without_a_traceback(
    asked: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routing, "page_of", failing(ZeroDivisionError("of \x1b[2J secrets")))
    answer = with_headers(asked("/"))
    assert (answer.status, type_of(answer)) == (500, "text/html; charset=utf-8")
    assert b"ZeroDivisionError" in answer.body
    assert not any(word in answer.body for word in (b"Traceback", b"secrets", b".py"))
    (logged,) = caplog.records
    assert "Traceback" in logged.getMessage() and "\x1b" not in logged.getMessage()


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Page:
        raise error

    return fail


def test_store_that_was_closed_is_a_page(path: Any) -> None:
    with Store(path) as s:
        site = Site(s, Links(f"/{TOKEN}"))
    answer = with_headers(run(ask(application(site, DOOR, Feeds(site)), f"/{TOKEN}/")))
    assert answer.status == 503 and b"closed" in answer.body


def test_only_some_pages_are_made_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio
    import threading

    going, most, lock, go = 0, 0, threading.Lock(), threading.Event()

    def slow(*_: Any) -> Page:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
            if going == module.MOST_PAGES:
                go.set()
        assert go.wait(60)
        with lock:
            going -= 1
        return Page("", element("p"))

    monkeypatch.setattr(routing, "page_of", slow)

    async def many() -> list[Answer]:
        app = application(site, DOOR, Feeds(site))
        asking: list[Coroutine[Any, Any, Answer]] = [ask(app, f"/{TOKEN}/") for _ in range(3 * module.MOST_PAGES)]
        return await asyncio.gather(*asking)

    assert {one.status for one in run(many())} == {200}
    assert most == module.MOST_PAGES


def test_answer_that_the_end_of_the_server_cuts_off_is_no_mistake(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn cancels what takes too long, and would show a traceback of each."""
    released, begun = threading.Event(), threading.Event()

    def slow(*_: object) -> Page:
        begun.set()
        released.wait(30)
        return Page("slow", element("p"))

    monkeypatch.setattr(routing, "page_of", slow)

    async def cut_off() -> Answer:
        asking = asyncio.create_task(ask(application(site, DOOR, Feeds(site)), f"/{TOKEN}/"))
        await asyncio.to_thread(begun.wait, 30)
        asking.cancel()
        try:
            return await asking
        finally:
            released.set()

    answer = with_headers(run(cut_off()))
    assert answer.status == 503 and b"was ended" in answer.body


def test_client_that_goes_in_the_middle_of_a_form_is_no_mistake(site: Site) -> None:
    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": b"a=", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in {**FORM, "host": HOST}.items()]
    scope = scope_of("http", f"/{TOKEN}/do/set", None, method="POST", query_string=b"", headers=headers)
    run(application(site, DOOR, Feeds(site))(scope, receive, send))
    assert sent[0]["status"] == 400


def test_form_that_does_not_come_to_its_end_is_refused() -> None:
    async def receive() -> Any:
        await asyncio.get_running_loop().create_future()  # for ever

    async def main() -> None:
        headers = [(name.encode(), value.encode()) for name, value in FORM.items()]
        request = Request(scope_of("http", "/do/set", None, method="POST", headers=headers), receive)
        with pytest.raises(bodies.BadBody, match="nothing was done") as caught:
            await bodies.form_of(request, seconds=0)
        assert caught.value.status == 408

    run(main())


def test_pages_do_not_wait_behind_writes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def waits(*_: object) -> Page:  # for the lock of another program
        released.wait(30)
        return Page("written", element("p"))

    async def fields(_: object) -> dict[str, str]:  # without a thread, so that all posts come as far as the write
        return {}

    monkeypatch.setattr(forms, "submit", waits)
    monkeypatch.setattr(module, "form_of", fields)
    app = application(site, DOOR, Feeds(site))

    async def many() -> Answer:
        posts = [
            asyncio.create_task(ask(app, f"/{TOKEN}/do/set", method="POST", headers=FORM))
            for _ in range(2 * module.MOST_PAGES)
        ]
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(ask(app, f"/{TOKEN}/"), 20)
        finally:
            released.set()
            await asyncio.gather(*posts)

    assert run(many()).status == 200


def test_lifespan_is_not_served(site: Site) -> None:
    app: App = application(site, DOOR, Feeds(site))
    with pytest.raises(TypeError, match="lifespan"):
        run(app({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
