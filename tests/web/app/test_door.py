"""Which requests come in: the name of the server, the token, and where a request comes from. Without any library."""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import Any

import pytest
from web_requests import DOOR, HOST, OWN_FORM, PORT, TOKEN

from store.web.app import door
from store.web.app.door import NOTHING_HERE, WRONG_HOST, WRONG_ORIGIN, Door, checked_token, new_token
from store.web.app.listening import Listening, listen, resolved

PATH = f"/{TOKEN}/record"


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_name_of_the_server_comes_in(host: str) -> None:
    assert DOOR.refusal("GET", PATH, {"host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "", "127.0.0.1", "127.0.0.1:80", f"evil.example:{PORT}", f"127.0.0.1.evil.example:{PORT}", f"127.0.0.2:{PORT}",
        f"{HOST}.evil.example", f"user@{HOST}", f"{HOST}/", f"{HOST} ", f"localhost.:{PORT}", "localhost", f"[::1]{PORT}", f":{PORT}",
        f"10.0.0.1:{PORT}", f"0.0.0.0:{PORT}", f"127.0.0.1:{PORT}:{PORT}", f"127.0.0.1:{'9' * 5000}",
    ],
)  # fmt: skip
def test_other_name_of_the_server_is_refused_whatever_the_token(host: str) -> None:
    for path in (PATH, "/"):
        assert DOOR.refusal("GET", path, {"host": host}) == WRONG_HOST


def test_everywhere_each_address_comes_in_and_no_other_name() -> None:
    everywhere = Door(TOKEN, Listening("0.0.0.0", "0.0.0.0", PORT))
    for host in (HOST, f"192.168.1.7:{PORT}", f"[fe80::1]:{PORT}"):
        assert everywhere.refusal("GET", PATH, {"host": host}) is None
    for host in (f"evil.example:{PORT}", "192.168.1.7", f"1.2.3.4.evil.example:{PORT}"):
        assert everywhere.refusal("GET", PATH, {"host": host}) == WRONG_HOST


def test_host_that_was_asked_for_comes_in_by_its_name_and_address() -> None:
    named = Door(TOKEN, Listening("Box.lan", "192.168.1.7", PORT))
    for host in (f"box.lan:{PORT}", f"192.168.1.7:{PORT}"):
        assert named.refusal("GET", PATH, {"host": host}) is None
    assert named.refusal("GET", PATH, {"host": f"localhost:{PORT}"}) == WRONG_HOST


@pytest.mark.parametrize(
    "path",
    [
        "/", "", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", f"//{TOKEN}/", f"/x/{TOKEN}/", f"/{TOKEN.upper()}/", "/static/page.css",
        f"/{TOKEN}%2Frecord", f"{TOKEN}/record", f"http://{HOST}/{TOKEN}/", "/é\udcff/", f"/{TOKEN}\0/",
    ],
)  # fmt: skip
def test_wrong_token_is_as_if_nothing_was_there(path: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert DOOR.refusal(method, path, {"host": HOST, **OWN_FORM}) == NOTHING_HERE


def test_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return secrets.compare_digest(one, other)

    monkeypatch.setattr(door, "secrets", type("only", (), {"compare_digest": staticmethod(compare)}))
    assert DOOR.path_inside(f"/{TOKEN}/a/b") == "/a/b"
    assert DOOR.path_inside(f"/{TOKEN}") == ""
    assert DOOR.path_inside("/wrong/a") is None
    assert compared == [(TOKEN.encode(), TOKEN.encode())] * 2 + [(b"wrong", TOKEN.encode())]


OTHERS: list[dict[str, str]] = [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"https://{HOST}"}, {"origin": "http://127.0.0.1:9"},
    {"origin": f"http://{HOST}.evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"},
    {"sec-fetch-site": ""}, {"origin": ""},
]  # fmt: skip


@pytest.mark.parametrize("headers", [*OTHERS, {}, {"sec-fetch-site": "none"}])
def test_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"):
        assert DOOR.refusal(method, f"/{TOKEN}/do/delete", {"host": HOST, **headers}) == WRONG_ORIGIN


@pytest.mark.parametrize(
    "headers", [OWN_FORM, {"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"}, {"origin": f"HTTP://{HOST}"}]
)
def test_form_of_our_own_comes_in(headers: dict[str, str]) -> None:
    assert DOOR.refusal("POST", f"/{TOKEN}/do/delete", {"host": HOST, **headers}) is None


@pytest.mark.parametrize("headers", OTHERS)
def test_events_are_refused_to_other_sites(headers: dict[str, str]) -> None:
    assert DOOR.refusal("GET", f"/{TOKEN}/events", {"host": HOST, **headers}) == WRONG_ORIGIN


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin"}])
def test_events_are_given_to_pages_and_programs(headers: dict[str, str]) -> None:
    assert DOOR.refusal("GET", f"/{TOKEN}/events", {"host": HOST, **headers}) is None


def test_page_opens_by_a_link_of_another_site() -> None:
    assert DOOR.refusal("GET", PATH, {"host": HOST, "sec-fetch-site": "cross-site"}) is None


def test_random_tokens_differ_and_are_right_ones() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {checked_token(token) for token in tokens} == tokens


@pytest.mark.parametrize("token", ["", "short", "x" * 40, "ab" * 20, "with/slash/and-more-text", "with space and more text", "é" * 20, "a" * 201])
def test_token_that_can_be_guessed_or_is_no_part_of_an_address_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        checked_token(token)


def test_listens_at_a_free_port_of_the_address_alone() -> None:
    asked = resolved("localhost", 0)
    assert asked.is_local
    sock, found = listen(asked)
    with closing(sock):
        assert found.port == sock.getsockname()[1] > 0
        assert found.url == f"http://localhost:{found.port}"
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")


@pytest.mark.parametrize(("host", "is_local"), [("127.0.0.1", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("10.1.2.3", False), ("::", False)])
def test_only_loopback_is_local(host: str, is_local: bool) -> None:
    assert Listening(host, host, 1).is_local is is_local


def test_address_of_a_browser_for_ipv6_and_for_everywhere() -> None:
    assert Listening("::1", "::1", 7).url == "http://[::1]:7"
    assert Listening("0.0.0.0", "0.0.0.0", 7).url == "http://127.0.0.1:7"
