"""Leases of edits on Redis: they make others wait, are renewed, and a lost one never overwrites.

The length of a lease is an attribute, so that nothing sleeps: real processes are paused and killed with short ones.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from children import Child, Start
from threads import in_thread

from store import Store
from store.engines.leases import Lease
from store.errors import Conflict, LockTimeout, StorageError, StoreError

pytest.importorskip("redis")
SECONDS = 60

EDIT = """
    import sys
    from store import Store
    from store.errors import Conflict
    url, seconds = sys.argv[1:3]
    with Store(url) as s:
        s.opened.engine.handle.server.leases.seconds = float(seconds)
        try:
            with s.edit("a") as value:
                print("inside", flush=True)
                value.append("theirs")
                input()
            print('"written"')
        except Conflict:
            print('"conflict"')
    """


@pytest.fixture
def s(url: str) -> Iterator[Store[Any]]:
    with Store[Any](url, timeout=SECONDS) as opened:
        opened["a"] = [1]
        yield opened


def server_of(s: Store[Any]) -> Any:
    return s.opened.engine.handle.server  # type: ignore[attr-defined]


def fields(s: Store[Any]) -> dict[bytes, bytes]:
    """The hash of leases as the server has it."""
    server = server_of(s)
    key = server.keys("").leases
    found = server.command(key, "HGETALL", key)
    return dict(zip(found[::2], found[1::2], strict=True))


def end_of(s: Store[Any], name: str = "a") -> float:
    """When the lease of a record ends, by the server's clock; 0: there is none."""
    found = fields(s).get(name.encode())
    return 0.0 if found is None else float(struct.unpack("<d", found[:8])[0])


def set_end(s: Store[Any], name: str, end: float) -> None:
    server = server_of(s)
    key, field = server.keys("").leases, name.encode()
    server.command(key, "HSET", key, field, struct.pack("<d", end) + fields(s)[field][8:])


def inside(start: Start, url: str, seconds: float) -> Child:
    """A process within its edit of `a`."""
    child = start(EDIT, url, seconds)
    assert child.hear() == "inside"
    return child


class TestExcludes:
    @pytest.mark.parametrize(
        "write",
        [
            lambda s: s.__setitem__("a", [2]),
            lambda s: s.__delitem__("a"),
            lambda s: s.update(b=1, a=[2]),
            lambda s: s.modify("a", lambda value: [*value, 2]),
            lambda s: s.pop("a"),
            lambda s: s.popitem(),
            lambda s: s.touch("a", ttl=1000),
            lambda s: s.clear(),
            lambda s: s.edit("a").__enter__(),
            lambda s: s.transact(lambda t: t.__setitem__("a", [2])),
        ],
        ids=["put", "delete", "update", "modify", "pop", "popitem", "touch", "clear", "edit", "transact"],
    )
    def test_writers_of_the_record_until_their_timeout(
        self, s: Store[Any], url: str, write: Callable[[Store[Any]], Any]
    ) -> None:
        with s.edit("a") as value, Store[Any](url, timeout=0.02) as impatient:
            error = in_thread(lambda: write(impatient))
            assert isinstance(error, LockTimeout) and "another writer" in str(error)
            value.append(3)
        assert dict(s.items()) == {"a": [1, 3]}

    def test_no_reader_and_no_writer_of_other_records(self, s: Store[Any], url: str, start: Start) -> None:
        with s.edit("a") as value:
            value.append(2)
            reader = start(
                """
                import json, sys
                from store import Store
                with Store(sys.argv[1], timeout=0) as s:
                    s["b"] = s.setdefault("c", 5) + s.incr("d")
                    print(json.dumps([s["a"], len(s), dict(s), s.get_many(["a"]), s.record("a").revision]))
                """,
                url,
            )
            assert reader.result() == [[1], 4, {"a": [1], "c": 5, "d": 1, "b": 6}, {"a": [1]}, 1]
        assert s["a"] == [1, 2]

    def test_writers_that_get_in_once_it_is_over(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 30)
        waits = threading.Event()
        done: list[Any] = []

        def write() -> None:
            waits.set()
            s["a"] = "mine"
            done.append(s["a"])

        thread = threading.Thread(target=write)
        thread.start()
        assert waits.wait(SECONDS)
        child.say()
        assert child.result() == "written"
        thread.join(SECONDS)
        assert done == ["mine"] and s.record("a").revision == 3


class TestLease:
    def test_of_a_killed_process_frees_the_record_at_its_end(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 1)
        child.kill()
        assert end_of(s) <= server_of(s).now() + 1.5
        s.modify("a", lambda value: [*value, "mine"])
        assert s["a"] == [1, "mine"]

    def test_of_a_paused_process_is_lost_and_never_overwrites(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 0.3)
        child.process.send_signal(signal.SIGSTOP)
        try:
            with s.edit("a") as value:  # waits for the end of the lease
                value.append("mine")
        finally:
            child.process.send_signal(signal.SIGCONT)
        child.say()
        assert child.result() == "conflict"
        assert s["a"] == [1, "mine"]

    def test_that_was_deleted_never_overwrites(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 30)
        server = server_of(s)
        assert server.command(server.keys("").leases, "DEL", server.keys("").leases) == 1
        s["a"] = "mine"
        child.say()
        assert child.result() == "conflict"
        assert s["a"] == "mine"

    def test_that_was_lost_is_no_loss_if_nobody_wrote(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 30)
        server = server_of(s)
        server.command(server.keys("").leases, "DEL", server.keys("").leases)
        child.say()
        assert child.result() == "written"
        assert s["a"] == [1, "theirs"]

    def test_of_a_record_that_was_made_meanwhile_never_overwrites(self, s: Store[Any], url: str) -> None:
        server = server_of(s)
        with pytest.raises(Conflict), s.edit("new", []) as value:
            value.append("first")
            server.command(server.keys("").leases, "DEL", server.keys("").leases)
            with Store[Any](url) as other:
                assert in_thread(lambda: other.__setitem__("new", "second")) is None
        assert s["new"] == "second"

    def test_is_renewed_by_the_thread_while_the_edit_lasts(self, s: Store[Any], url: str, start: Start) -> None:
        child = inside(start, url, 3)
        ends = {end_of(s)}
        while len(ends) < 3:  # pytest's timeout bounds it
            ends.add(end_of(s))
        child.say()
        assert child.result() == "written"
        assert end_of(s) == 0.0

    def test_that_a_transaction_lost_is_renewed_no_more(self, s: Store[Any]) -> None:
        with s.edit("a"):
            leases = server_of(s).leases
            assert leases._renew(None) and len(leases._held) == 1
            set_end(s, "a", 1)
            assert leases._renew(None) and end_of(s) > server_of(s).now(), "nobody took it"
            server_of(s).command(server_of(s).keys("").leases, "DEL", server_of(s).keys("").leases)
            assert leases._renew(None) and leases._held == {} and end_of(s) == 0.0, "it is not taken again"

    def test_ends_with_the_write_and_takes_no_script_of_its_own(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = server_of(s)
        s.incr("n")
        runs: list[Any] = []
        run = server.run
        monkeypatch.setattr(server, "run", lambda *given: (runs.append(given[0]), run(*given))[1])
        s.incr("n")
        assert len(runs) == 2, "the lease with the record, the write"
        with s.edit("a"):
            pass
        assert len(runs) == 4, "the lease with the record, and it is given back"
        assert fields(s) == {} and server.leases._held == {}

    def test_is_given_back_after_an_exception(self, s: Store[Any]) -> None:
        with pytest.raises(ZeroDivisionError), s.edit("a"):
            assert end_of(s)
            1 / 0
        assert fields(s) == {} and server_of(s).leases._held == {}

    def test_whose_transaction_was_collected_is_given_back(self, s: Store[Any]) -> None:
        """As one that an interrupt ended before its block began."""

        class Holder:
            pass

        server, holder = server_of(s), Holder()
        lease = Lease(server.keys("").leases, [b"a"], holder)
        server.command(lease.key, "HSET", lease.key, "a", struct.pack("<d", server.now() + 30) + lease.owner.bytes)
        server.leases.keep(lease)
        assert server.leases._renew(None) and end_of(s)
        del holder
        gc.collect()
        assert server.leases._renew(None)
        assert fields(s) == {} and server.leases._held == {}

    def test_without_a_thread_is_not_renewed_and_all_else_works(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        server_of(s).leases.close()
        monkeypatch.setattr(threading.Thread, "start", refused)
        with s.edit("a") as value:
            assert end_of(s) and server_of(s).leases._held == {}
            value.append(2)
        assert s["a"] == [1, 2] and s.incr("n") == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_is_left_to_the_parent_by_a_forked_child(self, s: Store[Any]) -> None:
        edit = s.edit("a")
        value = edit.__enter__()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                edit.__exit__(None, None, None)
            except StoreError:
                code = 7 if end_of(s) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert end_of(s)
        value.append(2)
        edit.__exit__(None, None, None)
        assert s["a"] == [1, 2]

    def test_whose_server_is_away_ends_by_itself(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: Any) -> None:
            raise StorageError("away")

        with pytest.raises(ZeroDivisionError), s.edit("a"):
            monkeypatch.setattr(server_of(s), "run", away)
            1 / 0
        monkeypatch.undo()
        assert end_of(s), "nobody could be told"
        set_end(s, "a", 1)
        s["a"] = 2


NESTED = """
    import sys
    from store import Store
    from store.errors import Conflict
    url, outer, inner = sys.argv[1:4]
    with Store(url, timeout=50) as s:
        try:
            with s.edit(outer) as value:
                print("outer", flush=True)
                input()
                with s.edit(inner) as other:
                    print("inner", flush=True)
                    input()
                    value.append(inner)
                    other.append(outer)
            print('"written"')
        except Conflict:
            print('"conflict"')
    """


class TestCircles:
    """Transactions that wait for each other's leases."""

    @pytest.mark.parametrize("names", ["ab", "abc"])
    def test_of_nested_edits_end_at_once_by_a_conflict(
        self, s: Store[Any], url: str, start: Start, names: str
    ) -> None:
        s.update({name: [] for name in names})
        pairs = list(zip(names, names[1:] + names[0], strict=True))
        children = [start(NESTED, url, *pair) for pair in pairs]
        for step in ("outer", "inner"):
            for child in children:
                assert child.hear() == step
            for child in children:
                child.say()
        results = [child.result() for child in children]  # long before their timeout, else LockTimeout
        written = [pair for pair, result in zip(pairs, results, strict=True) if result == "written"]
        assert written and "conflict" in results
        assert {name: s[name] for name in names} == {
            name: [inner for outer, inner in written if outer == name] + [outer for outer, inner in written if inner == name]
            for name in names
        }
        assert fields(s) == {}, "no lease and no wait is left"

    def test_of_transact_run_again_until_all_are_done(self, s: Store[Any], crowd: Any, url: str) -> None:
        s.update(x={"n": 0}, y={"n": 0})
        crowd(
            2,
            """
            url, number = sys.argv[1], int(sys.argv[2])
            outer, inner = "xy" if number else "yx"

            def both(s):
                with s.edit(outer) as value, s.edit(inner) as other:
                    value["n"] += 1
                    other["n"] += 1

            with Store(url, timeout=50) as s:
                for _ in range(20):
                    s.transact(both)
            print("null")
            """,
            url,
        )
        assert s["x"] == s["y"] == {"n": 40}
        assert fields(s) == {}

    def test_that_a_wait_of_long_ago_would_close_are_none(self, s: Store[Any], url: str, start: Start) -> None:
        """A client that waited was killed: its wait is not known for longer than a second."""
        server, key = server_of(s), server_of(s).keys("").leases
        server.run_own = None
        child = inside(start, url, 30)
        theirs = fields(s)[b"a"][8:]
        with pytest.raises(LockTimeout), Store[Any](f"{url}&health_check_interval=0", timeout=0.05) as mine:
            with mine.edit("b", []) as value, mine.edit("a") as other:
                ours = fields(s)[b"b"][8:]
                server.command(key, "HSET", key, b"\xff" + theirs, struct.pack("<d", server.now() - 1) + ours)
                value.append(1)
                other.append(2)
        child.say()
        assert child.result() == "written"
