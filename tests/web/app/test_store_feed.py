"""The stream of the first page: it tells that anything was committed to the store, on each engine."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: `store web` was not tested")

from asgi import run, scope_of
from web_requests import DOOR, HOST, TOKEN

from store import Store
from store.errors import LockTimeout, StoreClosed
from store.web.app import events as eventing
from store.web.app import sources
from store.web.app.application import application
from store.web.app.feeds import Feeds
from store.web.app.sources import WHOLE_STORE, Scope
from store.web.app.subscription import MOST_PENDING, Subscription
from store.web.commits import Commits
from store.web.links import Links
from store.web.pages.marks import has_changed
from store.web.site import Site

SECONDS = 60
WATCHING = {"kind": "watching"}
MANY = {"kind": "many"}


class Served:
    """The application on a store. `linger`: seconds that a watch goes on after its last stream."""

    def __init__(self, s: Store[Any], linger: float = 3600) -> None:
        self.s = s
        self.site = Site(s, Links(f"/{TOKEN}"), live=True)
        self.feeds = Feeds(self.site, linger=linger)
        self.app = application(self.site, DOOR, self.feeds)

    async def page(self) -> str:
        """The query of the events of the first page."""
        async with self._asked("", b"") as parts:
            text = "".join([body async for body in parts])
        address = text.partition('data-live="')[2].partition('"')[0]
        assert address.startswith(f"/{TOKEN}/events?"), text
        return address.partition("?")[2].replace("&amp;", "&")

    @asynccontextmanager
    async def stream(self, query: str) -> AsyncIterator[Callable[[], Any]]:
        """A function that waits for the next event."""
        async with self._asked("events", query.encode()) as parts:
            found: list[dict[str, str]] = []

            async def event() -> dict[str, str]:
                while not found:
                    lines = (await anext(parts)).split("\n\n")
                    found.extend(json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
                return found.pop(0)

            yield event

    @asynccontextmanager
    async def _asked(self, path: str, query: bytes) -> AsyncIterator[AsyncIterator[str]]:
        scope = scope_of("http", f"/{TOKEN}/{path}", None, headers=[(b"host", HOST.encode())], query_string=query)
        received, sent = asyncio.Queue[Any](), asyncio.Queue[Any]()
        received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        task = asyncio.create_task(self.app(scope, received.get, sent.put))
        assert (await asyncio.wait_for(sent.get(), SECONDS))["status"] == 200

        async def parts() -> AsyncIterator[str]:
            more = True
            while more:
                message = await asyncio.wait_for(sent.get(), SECONDS)
                more = message.get("more_body", False)
                yield message.get("body", b"").decode()

        try:
            yield parts()
        finally:
            received.put_nowait({"type": "http.disconnect"})
            await asyncio.wait_for(task, SECONDS)

    def run(self, main: Callable[[], Any]) -> None:
        """Runs a test in an event loop, and ends the watches."""

        async def whole() -> None:
            try:
                await main()
            finally:
                self.feeds.end_streams()
                self.feeds.join()

        run(whole())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(sources, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(eventing, "BATCH_SECONDS", 0)


@pytest.fixture
def served(location: str) -> Iterator[Served]:
    with Store[Any](location) as s:
        yield Served(s)


def written(s: Store[Any], namespace: str, **values: Any) -> None:
    with s.within(namespace) as inner:
        inner.update(values)


def test_each_commit_is_announced_to_a_page_that_is_open(served: Served) -> None:
    s = served.s

    def delete() -> None:
        with s.within("new") as inner:
            del inner["a"]

    def clear() -> None:
        with s.within("new") as inner:
            inner.clear()

    async def main() -> None:
        query = await served.page()  # of an empty store
        async with served.stream(query) as event:
            assert await event() == WATCHING
            for change in (
                lambda: s.__setitem__("first", 1),
                lambda: written(s, "new", a=1, b=1),
                lambda: written(s, "new", b=2),
                delete,
                clear,
                lambda: s.touch("first", 60),
            ):
                await asyncio.to_thread(change)
                assert await event() == MANY

    served.run(main)


def test_change_between_the_page_and_its_stream_is_announced(served: Served) -> None:
    async def main() -> None:
        before = await served.page()
        await asyncio.to_thread(written, served.s, "other", a=1)
        async with served.stream(before) as event:
            assert [await event(), await event()] == [WATCHING, MANY]
        async with served.stream(await served.page()) as event:
            assert await event() == WATCHING
            await asyncio.to_thread(written, served.s, "other", a=2)
            assert await event() == MANY  # and it is of this change: the mark had not changed before it
            assert not has_changed(served.site, {"seen": served.site.commits.mark()})

    served.run(main)


def test_page_without_changes_is_left_alone(served: Served) -> None:
    served.s["a"] = 1
    looks: list[str] = []
    mark = served.site.commits.mark
    often = threading.Event()

    def counted() -> str:
        looks.append(mark())
        if len(looks) > 5:
            often.set()
        return looks[-1]

    served.site.commits.mark = counted  # type: ignore[method-assign]

    async def main() -> None:
        query = await served.page()
        async with served.stream(query) as event:
            assert await event() == WATCHING
            assert await asyncio.to_thread(often.wait, SECONDS)
            await served.page()  # reads all that the first page shows
            await asyncio.to_thread(served.s.__setitem__, "a", 2)
            assert await event() == MANY
        assert len(set(looks)) == 2

    served.run(main)


def test_page_that_was_made_before_the_watch_looked_is_left_alone(
    s: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream joins a watch that notices only now what the page shows already."""
    monkeypatch.setattr(sources, "LOOK_SECONDS", 3600)
    served = Served(s)
    wakes: list[Callable[[], object]] = []
    use = served.site.commits.use
    monkeypatch.setattr(served.site.commits, "use", lambda wake: (wakes.append(wake), use(wake)))

    async def main() -> None:
        async with served.stream(await served.page()) as first:
            assert await first() == WATCHING
            await asyncio.to_thread(written, s, "x", a=1)
            async with served.stream(await served.page()) as second:
                assert await second() == WATCHING
                wakes[0]()
                assert await first() == MANY
                await asyncio.to_thread(written, s, "x", a=2)
                wakes[0]()
                assert await first() == await second() == MANY
                served.feeds.end_streams()
                with pytest.raises(StopAsyncIteration):
                    await second()

    served.run(main)


def test_expiry_of_the_first_record_is_announced_without_a_commit(served: Served) -> None:
    served.s.put("a", 1, ttl=3600)
    served.s.put("b", 1, ttl=60)
    expires = served.s.record("b").expires
    assert expires is not None

    async def main() -> None:
        query = dict(part.split("=") for part in (await served.page()).split("&"))
        assert float(query["until"]) == pytest.approx(expires.timestamp(), abs=5)
        async with served.stream("until=1.0") as event:  # long ago
            assert sorted([str(await event()), str(await event())]) == sorted(map(str, (WATCHING, MANY)))

    served.run(main)


@pytest.mark.parametrize("until", ["", "nan", "inf", "-inf", "1e999", "x" * 100, "\u0661"])
def test_time_in_a_query_by_hand_harms_nothing(until: str, path: Path) -> None:
    with Store[Any](path) as s:
        served = Served(s)

        async def main() -> None:
            async with served.stream(f"until={until}") as event:
                found = [await event()]
                while WATCHING not in found:
                    found.append(await event())

        served.run(main)


def test_expiry_is_sent_once_and_at_its_time() -> None:
    left = iter([5.0, 5.0, 0.001, 0.0, 0.0])
    pauses: list[float] = []

    class Quiet(Subscription):
        async def batch(self, seconds: float) -> str:
            pauses.append(seconds)
            return await super().batch(0)

    async def nothing() -> None:
        pass

    async def main() -> None:
        stream = eventing.stream(Quiet(), nothing, lambda: next(left, -1.0))
        texts = [await anext(stream) for _ in range(6)]
        assert texts[1:] == [": heartbeat\n\n"] * 2 + ['data: {"kind": "many"}\n\n'] + [": heartbeat\n\n"] * 2

    run(main())
    assert pauses == [5.0, 0.001, eventing.HEARTBEAT_SECONDS, eventing.HEARTBEAT_SECONDS, eventing.HEARTBEAT_SECONDS]


def test_streams_share_a_watch_which_ends_with_them(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(s, linger=0)
    changes, monitors = served.s.opened.engine.changes, list[Any]()
    assert changes is not None
    watch_all = changes.watch_all

    def watched() -> Any:
        monitors.append(watch_all())
        return monitors[-1]

    monkeypatch.setattr(changes, "watch_all", watched)

    async def main() -> None:
        async with served.stream("") as one, served.stream("") as two:
            assert await one() == await two() == WATCHING
            assert len([thread for thread in threading.enumerate() if thread.name == "watch None"]) == 1
            await asyncio.to_thread(written, served.s, "x", a=1)
            assert await one() == await two() == MANY

    served.run(main)
    (monitor,) = monitors
    with pytest.raises(StoreClosed):
        monitor.version()


def test_page_whose_stream_never_comes_leaves_nothing_open(s: Store[Any]) -> None:
    served = Served(s, linger=0)

    async def main() -> None:
        await served.page()

    served.run(main)
    assert not any(thread.name == "watch None" for thread in threading.enumerate())
    before = served.site.commits.mark()
    served.site.commits.use(before.split)
    served.site.commits.leave(before.split)
    assert served.site.commits.mark() != before, "marks of another monitor are not comparable"


def test_store_that_cannot_be_read_for_a_moment_is_tried_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, failures = served.site.commits.mark, iter([False, True, True])

    def refused() -> str:
        if next(failures, False):
            raise LockTimeout("busy")
        return mark()

    monkeypatch.setattr(served.site.commits, "mark", refused)

    async def main() -> None:
        async with served.stream("") as event:
            assert await event() == WATCHING
            assert await asyncio.to_thread(served.s.__setitem__, "a", 1) is None
            assert await event() == MANY

    served.run(main)


def test_looks_that_take_long_are_rare(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses, looks = [0.0], list[float](), iter([(0.0, "1"), (0.1, "2"), (5.0, ""), (0.0, "2"), (9.0, "3")])

    class Still:
        """An event whose waits pass at once."""

        def is_set(self) -> bool:
            return False

        def wait(self, seconds: float) -> None:
            pauses.append(seconds)

        def set(self) -> None: ...

        def clear(self) -> None: ...

    def mark() -> str:
        took, found = next(looks, (0.0, None))
        now[0] += took
        if found is None:
            raise StoreClosed("the end of the test")
        if not found:
            raise LockTimeout("the server is away")
        return found

    monkeypatch.setattr(sources, "steady_clock", lambda: now[0])
    monkeypatch.setattr(sources, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(sources, "LEAST_SECONDS", 0.25)
    found = list[Any]()
    with Store[Any](path, timeout=4) as s:
        with monkeypatch.context() as patched:
            patched.setattr(sources.threading, "Event", Still)
            source = sources.StoreSource(Site(s, Links("/t")))
        monkeypatch.setattr(source._commits, "mark", mark)
        with pytest.raises(StoreClosed):
            source.watch(lambda: found.append("begun"), found.append)
    assert found == ["begun", "2", "3"]
    assert pauses == [0.25, 0.75, pytest.approx(2), 0.0, 1.0, 0.25, 0.75, 30.0, 0.0]


def test_store_that_cannot_be_read_for_long_ends_the_stream(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](path, timeout=0) as s:
        served = Served(s)

        def refused() -> str:
            raise LockTimeout("the server is away; try again")

        monkeypatch.setattr(served.site.commits, "mark", refused)

        async def main() -> None:
            async with served.stream("") as event:
                assert await event() == {"kind": "problem", "message": "the server is away; try again"}

        served.run(main)


def test_file_that_is_deleted_ends_the_stream_with_the_reason(path: Path) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        served = Served(s)

        async def main() -> None:
            async with served.stream(await served.page()) as event:
                assert await event() == WATCHING
                os.rename(path, path.with_name("kept.db"))
                problem = await event()
                assert problem["kind"] == "problem" and "deleted" in problem["message"]
            os.rename(path.with_name("kept.db"), path)

        served.run(main)


def test_marks_of_an_earlier_server_are_others(path: Path) -> None:
    with Store[Any](path) as s:
        first, second = Commits(s), Commits(s)
        assert first.mark() == first.mark() != second.mark() == second.mark()


def test_events_of_a_namespace_without_a_name_are_its_own(path: Path) -> None:
    with Store[Any](path) as s:
        served = Served(s)

        async def main() -> None:
            async with served.stream("namespace=") as event:
                assert await event() == WATCHING
                await asyncio.to_thread(written, s, "other", a=1)
                await asyncio.to_thread(written, s, "", b=1)
                assert await event() == {"kind": "set", "name": "b", "namespace": ""}

        served.run(main)


def test_kept_watch_ends_with_the_server(path: Path) -> None:
    with Store[Any](path) as s:
        served = Served(s)

        async def main() -> None:
            async with served.feeds.kept(WHOLE_STORE):
                served.feeds.end_streams()
            async with served.feeds.kept(Scope("after the end")):  # a page that is made while the server ends
                assert not any("after the end" in thread.name for thread in threading.enumerate())

        served.run(main)


def test_unknown_changes_that_a_slow_stream_does_not_take_are_few() -> None:
    subscription = Subscription()
    for _ in range(10 * MOST_PENDING):
        subscription.add_unknown()
    assert run(subscription.batch(inf)).count("many") == MOST_PENDING + 1
