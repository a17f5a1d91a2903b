"""Streams of changes: what is watched for them, what they send, and how they end."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import threading
import weakref
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: `store web` was not tested")

from asgi import run, scope_of
from web_requests import DOOR, HOST, TOKEN

from store import Store
from store.watching.changes import Change
from store.web.app import events as module
from store.web.app import feed as feeding
from store.web.app import feeds as feeds_module
from store.web.app import sources
from store.web.app.application import application
from store.web.app.feeds import MOST_OF_CLIENT, MOST_STREAMS, Feeds, TooManyStreams
from store.web.app.sources import Scope
from store.web.app.subscription import MOST_PENDING, Subscription
from store.web.links import Links
from store.web.pages import marks
from store.web.routing import page_of
from store.web.site import Site

SECONDS = 60
WATCHING = 'data: {"kind": "watching"}\n\n'


async def events_of(subscription: Subscription, wanted: int = 1) -> list[dict[str, str]]:
    """The next events, at least so many."""
    found: list[dict[str, str]] = []
    while len(found) < wanted:
        batch = await subscription.batch(SECONDS)
        assert batch, "no events came"
        found += [json.loads(line.removeprefix("data: ")) for line in batch.split("\n\n") if line.startswith("data: ")]
    return found


async def begun(subscription: Subscription) -> None:
    assert await subscription.batch(SECONDS) == WATCHING


def watching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


class Watched:
    """A store, and the streams of its changes."""

    def __init__(self, s: Store[Any]) -> None:
        self.s = s
        self.site = Site(s, Links(f"/{TOKEN}"))
        self.feeds = Feeds(self.site, linger=0)


@pytest.fixture
def watched(place: str) -> Any:
    with Store[Any](place) as s:
        s.update({"a:1": 1, "b:1": 1})
        yield Watched(s)


def watch(watched: Watched, main: Callable[[Feeds], Any]) -> Any:
    """Runs a test in an event loop, and ends the watches."""

    async def whole() -> Any:
        try:
            return await main(watched.feeds)
        finally:
            watched.feeds.end_streams()
            watched.feeds.join()

    return run(whole())


def test_changes_of_any_handle_are_sent_and_noted(watched: Watched, place: str) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope("", "a:"), "c") as subscription:
            await begun(subscription)
            await asyncio.to_thread(change)
            assert await events_of(subscription, 2) == [
                {"kind": "deleted", "name": "a:1", "namespace": ""}, {"kind": "set", "name": "a:2", "namespace": ""},
            ]  # fmt: skip

    def change() -> None:
        with Store[Any](place) as other, other.transaction():
            other["b:2"] = 1
            other["a:2"] = 1
            del other["a:1"]

    watch(watched, main)
    (seen,) = watched.site.history.of("", "a:2")
    assert seen.record is not None and seen.record.version == watched.s.record("a:2").version
    assert [seen.record for seen in watched.site.history.of("", "a:1")] == [None]
    assert watched.site.history.of("", "b:2") == []


def test_one_record_of_a_namespace_is_watched(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope("other", name="x"), "c") as subscription:
            await begun(subscription)
            await asyncio.to_thread(change)
            assert await events_of(subscription) == [{"kind": "set", "name": "x", "namespace": "other"}]

    def change() -> None:
        watched.s["x"] = 1
        with watched.s.within("other") as other, other.transaction():
            other["xy"] = 2
            other["x"] = 2

    watch(watched, main)


def test_streams_of_the_same_records_share_a_watch(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope(""), "c") as one, feeds.subscribed(Scope(""), "c") as two:
            await begun(one)
            await begun(two)
            assert len(watching_threads()) == 1
            async with feeds.subscribed(Scope(""), "d") as three:
                await begun(three)
            watched.s["c"] = 1  # by the loop's own thread: the watch has another
            assert await events_of(one) == await events_of(two) == [{"kind": "set", "name": "c", "namespace": ""}]
            assert await three.batch(0) == ""

    watch(watched, main)


def test_watch_ends_when_its_last_stream_is_gone(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope(""), "c") as one:
            await begun(one)
            (thread,) = watching_threads()
        await asyncio.to_thread(thread.join, SECONDS)
        assert not thread.is_alive()
        async with feeds.subscribed(Scope(""), "c") as one:  # and another one begins
            await begun(one)

    watch(watched, main)


def test_stream_ends_with_the_server(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope(""), "c") as one:
            feeds.end_streams()  # before the watch has begun, or after
            assert one.is_over
            with pytest.raises(TooManyStreams):
                async with feeds.subscribed(Scope(""), "c"):
                    pass

    watch(watched, main)


def test_watch_that_fails_ends_the_stream_with_the_reason(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope("\ud800"), "c") as wrong:
            (event,) = await events_of(wrong)
            assert event["kind"] == "problem" and "surrogate" in event["message"]
            assert wrong.is_over

    watch(watched, main)


def test_mistake_while_watching_ends_the_stream_and_is_logged(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("of a secret")

    monkeypatch.setattr(watched.site.history, "note", fail)

    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope(""), "c") as one:
            await begun(one)
            watched.s["x"] = 1
            (event,) = await events_of(one)
            assert event["kind"] == "problem" and "ZeroDivisionError" in event["message"] and "secret" not in event["message"]
            assert one.is_over

    watch(watched, main)
    assert "ZeroDivisionError" in caplog.text


async def events_over_the_application(watched: Watched, query: str, steps: list[Callable[[], object] | None]) -> list[Any]:
    """The events of a stream; each step is made once the event before it has come. None: only waits for the event."""
    scope = scope_of("http", f"/{TOKEN}/events", None, headers=[(b"host", HOST.encode())], query_string=query.encode())
    received, sent = asyncio.Queue[Any](), asyncio.Queue[Any]()
    task = asyncio.create_task(application(watched.site, DOOR, watched.feeds)(scope, received.get, sent.put))  # type: ignore[arg-type]
    events: list[Any] = []
    for step in [None, *steps]:
        if step is not None:
            await asyncio.to_thread(step)
        before = len(events)
        while len(events) == before:
            body = (await asyncio.wait_for(sent.get(), SECONDS)).get("body", b"").decode()
            events += [json.loads(text[6:]) for text in body.split("\n\n") if text.startswith("data: ")]
    received.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(task, SECONDS)
    return events


def query_of(watched: Watched, **query: str) -> str:
    """That of the events of a page."""
    return str(page_of(watched.site, "namespace", {"namespace": "", **query}).live).partition("?")[2]


@pytest.fixture
def large(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A namespace of more records than are watched."""
    monkeypatch.setattr(sources, "MOST_RECORDS", 1)
    monkeypatch.setattr(module, "BATCH_SECONDS", 0)
    watched.site = dataclasses.replace(watched.site, live=True)
    return watched


def test_page_of_too_many_records_is_told_when_it_has_changed(large: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        events = await events_over_the_application(
            large, query_of(large, prefix="a:"), [lambda: large.s.__setitem__("a:9", 1)]
        )
        assert events == [{"kind": "watching"}, {"kind": "many", "namespace": ""}]

    watch(large, main)
    assert large.site.history.of("", "a:9") == []  # no record of a large namespace is followed


def test_page_of_too_many_records_is_not_told_of_others(large: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    results, is_compared = [], threading.Event()

    def has_changed(*given: Any) -> bool:
        results.append(before(*given))
        is_compared.set()
        return results[-1]

    before = marks.has_changed
    monkeypatch.setattr(marks, "has_changed", has_changed)

    def write(name: str) -> None:
        is_compared.clear()
        large.s[name] = 2
        assert is_compared.wait(SECONDS)

    async def main(feeds: Feeds) -> None:
        query = query_of(large, prefix="a:")
        steps = [lambda: (is_compared.wait(SECONDS), write("b:1"), write("b:2"), write("a:1"))]
        events = await events_over_the_application(large, query, steps)
        assert events == [{"kind": "watching"}, {"kind": "many", "namespace": ""}]

    watch(large, main)
    assert results[-1] and not any(results[:-1]) and len(results) >= 4


def test_page_that_cannot_be_compared_says_so_once_the_store_has_changed(large: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        events = await events_over_the_application(large, "namespace=", [lambda: large.s.__setitem__("b:2", 1)])
        assert events[1]["kind"] == "problem" and "sort by name" in events[1]["message"]

    watch(large, main)


def test_one_record_of_too_many_is_watched(large: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope("", name="a:1"), "c") as one:
            await begun(one)
            large.s["a:1"] = 2
            assert await events_of(one) == [{"kind": "set", "name": "a:1", "namespace": ""}]

    watch(large, main)


@pytest.mark.parametrize("is_early", [True, False])
def test_stream_of_too_many_records_ends_with_the_server(large: Watched, is_early: bool) -> None:
    async def main(feeds: Feeds) -> None:
        async with feeds.subscribed(Scope(""), "c") as one:
            if not is_early:
                await begun(one)
            feeds.end_streams()
            assert one.is_over
            (thread,) = watching_threads()
        await asyncio.to_thread(thread.join, SECONDS)
        assert not thread.is_alive()

    watch(large, main)


def test_streams_are_limited_in_all_and_for_each_client(watched: Watched) -> None:
    async def main(feeds: Feeds) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_OF_CLIENT):
                await stack.enter_async_context(feeds.subscribed(Scope(""), "c"))
            with pytest.raises(TooManyStreams):
                await stack.enter_async_context(feeds.subscribed(Scope(""), "c"))
            for number in range(MOST_STREAMS - MOST_OF_CLIENT):
                await stack.enter_async_context(feeds.subscribed(Scope(""), str(number)))
            with pytest.raises(TooManyStreams):
                await stack.enter_async_context(feeds.subscribed(Scope(""), "new"))
        async with feeds.subscribed(Scope(""), "c"):
            pass

    watch(watched, main)


def test_watches_that_linger_are_few(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who turns pages opens a stream with each: every watch has a thread, and a connection to the store."""
    monkeypatch.setattr(feeds_module, "MOST_WATCHES", 4)
    watched.feeds = Feeds(watched.site, linger=3600)
    before = len(watching_threads())

    async def main(feeds: Feeds) -> None:
        for number in range(20):
            while True:
                try:
                    async with feeds.subscribed(Scope("", f"{number}"), "c") as subscription:
                        await begun(subscription)
                    break
                except TooManyStreams:  # those that were ended have not stopped yet
                    await asyncio.sleep(0.01)
            assert len(watching_threads()) - before <= 2 * 4
        async with AsyncExitStack() as stack:  # the refusals counted for nobody
            for _ in range(MOST_OF_CLIENT):
                await stack.enter_async_context(feeds.subscribed(Scope("", "19"), "c"))

    watch(watched, main)


@pytest.mark.slow
def test_watch_that_ended_is_forgotten(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a mark of each record: those of many pages would fill the memory."""
    made: list[weakref.ref[feeding.Feed]] = []

    def feed(*given: Any) -> feeding.Feed:
        found = feeding.Feed(*given)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(feeds_module, "Feed", feed)

    async def main(feeds: Feeds) -> None:
        for number in range(3):
            async with feeds.subscribed(Scope("", f"{number}"), "c") as subscription:
                await begun(subscription)
        async with asyncio.timeout(SECONDS):
            while any(one() is not None for one in made[:3]):
                async with feeds.subscribed(Scope("", f"{len(made)}"), "c") as subscription:  # which forgets the dead
                    await begun(subscription)
                gc.collect()

    watch(watched, main)


def test_of_many_changes_at_once_a_page_learns_that_they_are_many() -> None:
    async def main() -> None:
        subscription = Subscription()
        for number in range(MOST_PENDING + 50):
            subscription.add(Change("set", f"{number}", "ns"))
        found = await events_of(subscription)
        assert len(found) == MOST_PENDING + 1
        assert found[-1] == {"kind": "many", "namespace": "ns"}

    run(main())


def test_change_of_a_name_of_any_length_is_short() -> None:
    subscription = Subscription()
    subscription.add(Change("set", "a" * 5000, ""))
    assert run(events_of(subscription)) == [{"kind": "many", "namespace": ""}]


def test_name_cannot_end_its_event() -> None:
    async def main() -> None:
        subscription = Subscription()
        subscription.add(Change("set", "x\n\ndata: {}\r\u2028\u202e\x1b</script>", ""))
        text = await subscription.batch(0)
        assert text.isascii() and text.isprintable() is False and text.count("\n") == 2
        assert json.loads(text.removeprefix("data: "))["name"] == "x\n\ndata: {}\r\u2028\u202e\x1b</script>"

    run(main())


# -- over the application


def test_stream_of_the_application(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_SECONDS", 0)

    async def main(feeds: Feeds) -> None:
        sent, received = asyncio.Queue[Any](), asyncio.Queue[Any]()
        app = application(watched.site, DOOR, feeds)
        asking = scope_of(
            "http", f"/{TOKEN}/events", None, query_string=b"namespace=&prefix=a%3A", headers=[(b"host", HOST.encode())]
        )
        task = asyncio.create_task(app(asking, received.get, sent.put))  # type: ignore[arg-type]
        start = await sent.get()
        assert start["status"] == 200 and (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
        assert (await sent.get())["body"] == b"retry: 5000\n\n"
        assert (await sent.get())["body"] == WATCHING.encode()
        watched.s["a:3"] = 1
        assert (await sent.get())["body"] == b'data: {"kind": "set", "name": "a:3", "namespace": ""}\n\n'
        received.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, SECONDS)

    watch(watched, main)


def test_heartbeat_is_sent_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "BATCH_SECONDS", 0)

    async def main() -> None:
        subscription = Subscription()
        stream = module.stream(subscription, asyncio.Event().wait)
        assert [await anext(stream) for _ in range(3)] == ["retry: 5000\n\n", *[": heartbeat\n\n"] * 2]
        subscription.end()
        assert [text async for text in stream] == []

    run(main())


@pytest.mark.parametrize("query", [{}, {"name": "a:1"}, {"sort": "modified", "reverse": "1"}, {"prefix": "a:"}])
def test_change_before_the_watch_is_sent_once_it_has_begun(watched: Watched, query: dict[str, str]) -> None:
    """A page is made, a record changes, and only then do the events of the page begin."""
    watched.site = dataclasses.replace(watched.site, live=True)
    app = application(watched.site, DOOR, watched.feeds)

    def events() -> str:
        live = page_of(watched.site, "record" if "name" in query else "namespace", {"namespace": "", **query}).live
        return str(live).partition("?")[2]

    async def first_of(query: str, meanwhile: Callable[[], None]) -> list[str]:
        """The first two events; `meanwhile` is called after the first one."""
        scope = scope_of("http", f"/{TOKEN}/events", None, headers=[(b"host", HOST.encode())], query_string=query.encode())
        received, sent = asyncio.Queue[Any](), asyncio.Queue[Any]()
        received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        task = asyncio.create_task(app(scope, received.get, sent.put))
        texts: list[str] = []
        while len(texts) < 2:
            body = (await asyncio.wait_for(sent.get(), SECONDS)).get("body", b"").decode()
            texts += [text for text in body.split("\n\n") if text.startswith("data: ")]
            if texts == [WATCHING.strip()]:
                await asyncio.to_thread(meanwhile)
        received.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, SECONDS)
        return texts

    async def main(feeds: Feeds) -> None:
        before = events()
        watched.s["a:1"] = 2
        assert (await first_of(before, lambda: None))[1] == 'data: {"kind": "many", "namespace": ""}'
        since = await first_of(events(), lambda: watched.s.__setitem__("a:1", 3))
        assert since[1] == 'data: {"kind": "set", "name": "a:1", "namespace": ""}'  # and nothing of the change before

    watch(watched, main)


def test_store_that_is_only_read_is_watched(path: Path) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
    with Store[Any](path, mode="r") as reader:

        async def main(feeds: Feeds) -> None:
            async with feeds.subscribed(Scope(""), "c") as one:
                await begun(one)
                await asyncio.to_thread(write)
                assert (await events_of(one))[0]["name"] == "b"

        def write() -> None:
            with Store[Any](path) as s:
                s["b"] = 1

        watch(Watched(reader), main)
