"""py-key-value's contract on a store, written anew since its distribution has no tests; then what is ours to keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from children import Crowd, Start
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store
from store.errors import StoreClosed

pytest.importorskip("key_value.aio", reason="py-key-value-aio is not installed: its store is not tested")
from key_value.aio.errors import (
    DeserializationError,
    InvalidTTLError,
    SerializationError,
    StoreSetupError,
)
from key_value.aio.protocols import key_value as protocol
from key_value.aio.wrappers.prefix_collections import PrefixCollectionsWrapper

from store.integrations.key_value import StoreKeyValue

LONG = "long" * 3000
STRANGE = ["", " ", "~", "~x", "a/b:c%", "é\u0301", "nul\0", "half \ud800", "key_value:", LONG, LONG + "2"]
Program = Callable[[StoreKeyValue], Awaitable[Any]]


def run(place: str | Path | Store[Any], program: Program, **options: Any) -> Any:
    """The result of a coroutine function of an open store, in an event loop of its own."""

    async def main() -> Any:
        async with StoreKeyValue(place, **options) as kv:
            return await program(kv)

    return asyncio.run(main())


# -- the contract


def test_it_has_each_protocol(place: str) -> None:
    kv = StoreKeyValue(place)
    for name in "KeyValue Cull EnumerateKeys EnumerateCollections DestroyStore DestroyCollection".split():
        assert isinstance(kv, getattr(protocol, f"Async{name}" + ("" if name == "KeyValue" else "Protocol")))


def test_put_get_delete(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        assert await kv.get("k", collection="c") is None
        assert await kv.ttl("k", collection="c") == (None, None)
        assert await kv.delete("k", collection="c") is False
        await kv.put("k", {"a": 1}, collection="c")
        await kv.put("k", {"a": 2}, collection="c")
        assert await kv.get("k", collection="c") == {"a": 2}
        assert await kv.ttl("k", collection="c") == ({"a": 2}, None)
        assert await kv.get("k", collection="other") is None
        assert await kv.delete("k", collection="c") is True
        assert await kv.get("k", collection="c") is None

    run(place, program)


def test_bulk(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        assert await kv.delete_many(["a", "b"]) == 0
        await kv.put_many(["a", "b"], ({"n": 1}, {"n": 2}), ttl=100)
        assert await kv.get_many(["a", "none", "b", "a"]) == [{"n": 1}, None, {"n": 2}, {"n": 1}]
        (one, none) = await kv.ttl_many(["b", "none"])
        assert (one[0], none) == ({"n": 2}, (None, None))
        assert 90 < one[1] <= 100
        assert await kv.delete_many(["a", "none", "b"]) == 2
        assert await kv.get_many(["a", "b"]) == [None, None]
        assert await kv.get_many([]) == []
        await kv.put_many([], [])

    run(place, program)


@pytest.mark.parametrize(
    "value",
    [
        {}, {"none": None, "list": [None, True, 1.5], "dict": {"x": {"y": []}}}, {"big": 10**18, "float": 1.0},
        {"text": "Hello 世界 🌍\n\t\0"}, {"null": "null", "1": "1"}, {"kb": "a" * 100_000}, {"list": list(range(1000))},
    ],
)  # fmt: skip
def test_json_comes_back(place: str, value: dict[str, Any]) -> None:
    async def program(kv: StoreKeyValue) -> Any:
        await kv.put("k", value)
        return await kv.get("k")

    assert run(place, program) == value


def test_tuple_comes_back_as_a_list(place: str) -> None:
    async def program(kv: StoreKeyValue) -> Any:
        await kv.put("k", {"x": (1, "two")})
        return await kv.get("k")

    assert run(place, program) == {"x": [1, "two"]}


@pytest.mark.parametrize("value", [datetime(2025, 1, 1, tzinfo=UTC), {1}, b"x", float("nan"), object()])
def test_what_is_not_json_is_refused_and_nothing_written(place: str, value: Any) -> None:
    async def program(kv: StoreKeyValue) -> None:
        with pytest.raises(SerializationError):
            await kv.put("k", {"x": value})
        with pytest.raises(SerializationError):
            await kv.put_many(["good", "k"], [{"x": 1}, {"x": value}])
        assert await kv.get_many(["good", "k"]) == [None, None]

    run(place, program)


@pytest.mark.parametrize("ttl", [0, -1, True])
def test_wrong_ttl_is_refused(place: str, ttl: Any) -> None:
    async def program(kv: StoreKeyValue) -> None:
        with pytest.raises(InvalidTTLError):
            await kv.put("k", {}, ttl=ttl)

    run(place, program)


def test_ttl_is_told_and_ends_an_entry(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        await kv.put("k", {"a": 1}, ttl=100)
        value, left = await kv.ttl("k")
        assert (value, 90 < left <= 100) == ({"a": 1}, True)
        await kv.put("k", {"a": 2}, ttl=1e-9)  # over at once, whatever the clock
        assert await kv.get("k") is None
        await kv.put("k", {"a": 3})
        assert await kv.ttl("k") == ({"a": 3}, None)

    run(place, program)


def test_entry_ends_by_the_clock_and_cull_removes_its_record(place: str, clock: Any) -> None:
    async def program(kv: StoreKeyValue) -> None:
        await kv.put("k", {}, ttl=10, collection="c")
        await kv.put("lasting", {}, collection="c")
        assert await kv.keys("c") == ["k", "lasting"]
        clock.advance(11)
        assert await kv.get("k", collection="c") is None
        assert await kv.keys("c") == ["lasting"]
        await kv.cull()

    run(place, program, clock=clock)
    clock.now -= 11  # the record would live again, were it there
    with Store(place, namespace="key_value:c", clock=clock) as s:
        assert list(s) == ["lasting"]


def test_keys_and_collections(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        assert (await kv.collections(), await kv.keys("c")) == ([], [])
        await kv.put_many(["b", "a", "c"], [{}] * 3, collection="one")
        await kv.put("k", {}, collection="two")
        await kv.put("k", {})
        assert await kv.keys("one") == ["a", "b", "c"]
        assert await kv.keys("one", limit=2) == ["a", "b"]
        assert await kv.keys() == ["k"]
        assert sorted(await kv.collections()) == ["default_collection", "one", "two"]
        assert len(await kv.collections(limit=2)) == 2
        assert await kv.destroy_collection("one") is True
        assert await kv.destroy_collection("one") is False
        assert await kv.keys("one") == []
        assert await kv.keys("two", limit=0) == ["k"]

    run(place, program)


def test_destroy_deletes_the_collections_and_nothing_else(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        await kv.put("k", {}, collection="one")
        await kv.put("k", {}, collection=LONG)
        assert await kv.destroy() is True
        assert await kv.collections() == []
        assert await kv.get("k", collection="one") is None
        await kv.put("k", {}, collection="one")

    with Store(place) as s:
        s["other"] = 1
        run(place, program)
        assert dict(s) == {"other": 1}
        assert s.namespaces() == ["", "key_value:one"]


@pytest.mark.parametrize("name", STRANGE, ids=range(len(STRANGE)))
def test_name_of_any_length_and_kind(place: str, name: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        collection = name or "default_collection"
        await kv.put(name, {"a": 1}, collection=name)
        await kv.put("plain", {"a": 2}, collection="plain")
        assert await kv.get(name, collection=name) == {"a": 1}
        assert await kv.keys(name) == [name]
        assert sorted(await kv.collections()) == sorted([collection, "plain"])
        assert await kv.delete(name, collection=name) is True
        assert await kv.collections() == ["plain"]

    run(place, program)


def test_key_that_looks_like_a_hash_is_another_one(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        await kv.put(LONG, {"n": 1})
        with Store(place, namespace="key_value:default_collection") as s:
            (hashed,) = s
        assert await kv.get(hashed) is None
        await kv.put(hashed, {"n": 2})
        assert (await kv.get(LONG), await kv.get(hashed)) == ({"n": 1}, {"n": 2})
        assert sorted(await kv.keys()) == sorted([LONG, hashed])

    run(place, program)


def test_wrong_types_are_refused(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        for call in (kv.get(1), kv.put("k", [1]), kv.put(1, {}), kv.delete(None)):  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await call
        with pytest.warns(UserWarning, match="keys"), pytest.raises(TypeError, match="a key is a str"):
            await kv.put_many([1], [{}])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="different number"):
            await kv.put_many(["a"], [])

    run(place, program)


def test_wrapper_of_py_key_value_goes_around_it(place: str) -> None:
    async def program(kv: StoreKeyValue) -> Any:
        await PrefixCollectionsWrapper(kv, prefix="app").put("k", {"a": 1}, collection="c")
        return await kv.collections()

    assert run(place, program) == ["app__c"]


# -- opening and closing


def test_first_call_opens_it_without_async_with(place: str) -> None:
    async def main() -> Any:
        kv = StoreKeyValue(place, default_collection="mine")
        await kv.put("k", {"a": 1})
        await kv.close()
        with pytest.raises(StoreClosed, match="open it again"):
            await kv.get("k")

    asyncio.run(main())
    assert run(place, lambda kv: kv.get("k", collection="mine")) == {"a": 1}


def test_open_store_is_used_and_stays_open(place: str) -> None:
    with Store(place, key=MINE) as s:
        assert run(s, lambda kv: kv.put("k", {"a": 1})) is None
        s["other"] = 2
        assert run(s, lambda kv: kv.get("k")) == {"a": 1}
        with pytest.raises(TypeError, match="give options to the Store"):
            StoreKeyValue(s, timeout=1)


def test_place_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreSetupError, match="nowhere"):
            await StoreKeyValue(tmp_path / "nowhere" / "kv.db").get("k")

    asyncio.run(main())


def test_one_object_serves_several_event_loops(place: str) -> None:
    kv = StoreKeyValue(place)
    asyncio.run(kv.put("k", {"a": 1}))
    assert asyncio.run(kv.get("k")) == {"a": 1}
    asyncio.run(kv.close())


# -- at once, and after the end of a process


def test_tasks_at_once_lose_nothing(place: str) -> None:
    async def program(kv: StoreKeyValue) -> None:
        async def work(task: int) -> None:
            for i in range(5):
                await kv.put(f"{task}-{i}", {"n": i})
                assert await kv.get(f"{task}-{i}") == {"n": i}

        await asyncio.gather(*(work(task) for task in range(8)))
        assert len(await kv.keys()) == 40

    run(place, program)


WRITES = """
import asyncio
from store.integrations.key_value import StoreKeyValue
place, number = sys.argv[1:]
async def main():
    async with StoreKeyValue(place) as kv:
        for i in range(20):
            await kv.put_many([f"{number}-{i}", "shared"], [{"n": i}, {"by": number}], collection=f"c{i % 3}")
asyncio.run(main())
print(json.dumps("done"))
"""

# Says each key once it is written, until it is killed.
ENDLESS = """
import asyncio, itertools, sys
from store.integrations.key_value import StoreKeyValue
async def main():
    async with StoreKeyValue(sys.argv[1]) as kv:
        for i in itertools.count():
            await kv.put_many([f"a{i}", f"b{i}"], [{"n": i}] * 2)
            print(i, flush=True)
asyncio.run(main())
"""

FORKS = """
import asyncio, json, os, sys
from store.integrations.key_value import StoreKeyValue
kv = StoreKeyValue(sys.argv[1])
asyncio.run(kv.put("before", {"n": 1}))
pid = os.fork()
if pid == 0:
    asyncio.run(kv.put("child", asyncio.run(kv.get("before"))))
    os._exit(0)
status = os.waitpid(pid, 0)[1]
print(json.dumps([status, asyncio.run(kv.get("child"))]))
asyncio.run(kv.close())
"""


@pytest.mark.slow
def test_processes_at_once_lose_nothing(place: str, crowd: Crowd) -> None:
    assert crowd(3, WRITES, place) == ["done"] * 3

    async def program(kv: StoreKeyValue) -> int:
        return sum([len(await kv.keys(f"c{i}")) for i in range(3)])

    assert run(place, program) == 3 * 20 + 3


@pytest.mark.slow
def test_killed_process_leaves_what_it_acknowledged_and_no_half(place: str, start: Start) -> None:
    child = start(ENDLESS, place)
    last = [int(child.hear()) for _ in range(20)][-1]
    child.kill()

    async def program(kv: StoreKeyValue) -> None:
        keys = await kv.keys()
        assert {f"a{i}" for i in range(last + 1)} <= set(keys)
        assert {key[1:] for key in keys if key[0] == "a"} == {key[1:] for key in keys if key[0] == "b"}

    run(place, program)


@pytest.mark.slow
def test_works_on_both_sides_of_a_fork(place: str, start: Start) -> None:
    assert start(FORKS, place).result() == [0, {"n": 1}]


# -- trust


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_foreign_record_runs_nothing_and_is_an_error(place: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with Store(place, namespace="key_value:default_collection", key=THEIRS) as s:
        s["code"] = Marker(ran)
        s.put("plain", {"value": {"admin": True}}, codec="json")

    async def program(kv: StoreKeyValue) -> None:
        for key in ("code", "plain"):
            with pytest.raises(DeserializationError, match=f"default_collection.*{key}"):
                await kv.get(key)
        await kv.put("mine", {})
        with pytest.raises(DeserializationError):
            await kv.get_many(["mine", "plain"])
        assert await kv.delete("plain") is True
        assert await kv.get("plain") is None
        await kv.put("code", {"a": 1})
        assert await kv.get("code") == {"a": 1}

    run(place, program, key=MINE)
    assert not ran.exists()


@pytest.mark.parametrize("stored", [5, "text", {}, {"value": 5}, {"value": {}, "created_at": 1}, {"value": {}, "expires_at": "x"}])
def test_record_of_another_shape_is_an_error(place: str, stored: Any) -> None:
    with Store(place, namespace="key_value:default_collection") as s:
        s["k"] = stored

    async def program(kv: StoreKeyValue) -> None:
        with pytest.raises(DeserializationError):
            await kv.get("k")

    run(place, program)


def test_record_is_the_document_of_py_key_value(place: str) -> None:
    run(place, lambda kv: kv.put("k", {"a": 1}, ttl=100, collection="c"))
    with Store(place, namespace="key_value:c") as s:
        assert s.record("k").codec == "json"
        assert s.record("k").expires is not None
        found = json.loads(json.dumps(s["k"]))
        assert {name: found[name] for name in ("value", "key", "collection")} == {"value": {"a": 1}, "key": "k", "collection": "c"}
        assert datetime.fromisoformat(found["expires_at"]) > datetime.fromisoformat(found["created_at"])
