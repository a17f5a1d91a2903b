"""Regions of dogpile.cache on a store: values, locks between processes, records of others, and wrong use."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from children import Crowd, Start
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store
from store.cache import Cache
from store.errors import StoreError

pytest.importorskip("dogpile.cache", reason="dogpile.cache is not installed: its backend is not tested")
from dogpile.cache import CacheRegion, make_region, register_backend
from dogpile.cache.api import NO_VALUE, CachedValue

from store.integrations.dogpile import StoreBackend, StoreMutex

register_backend("store", "store.integrations.dogpile", "StoreBackend")
WAIT_SECONDS = 60
NewRegion = Callable[..., CacheRegion]

# Creates one value, and counts how often; prints the value.
CREATES = """
from dogpile.cache import make_region, register_backend
register_backend("store", "store.integrations.dogpile", "StoreBackend")
place = sys.argv[1]
region = make_region().configure("store", arguments={"location": place, "distributed_lock": True})
def create():
    with Store(place, namespace="counted") as s:
        s.incr("created")
    return [7]
print(json.dumps(region.get_or_create("value", create)))
region.backend.close()
"""

# Holds the lock of a key until it is told to go on, or killed.
HOLDS = """
import sys
from store.integrations.dogpile import StoreBackend
backend = StoreBackend({"location": sys.argv[1], "distributed_lock": True})
mutex = backend.get_mutex("value")
print(mutex.acquire(), flush=True)
input()
mutex.release()
backend.close()
"""

# A region made before the fork, used on both sides.
FORKS = """
import json, os, sys
from dogpile.cache import make_region, register_backend
register_backend("store", "store.integrations.dogpile", "StoreBackend")
region = make_region().configure("store", arguments={"location": sys.argv[1], "distributed_lock": True})
region.set("before", 1)
pid = os.fork()
if pid == 0:
    region.set("child", region.get_or_create("before", lambda: 2) + 1)
    os._exit(0)
status = os.waitpid(pid, 0)[1]
print(json.dumps([status, region.get("child"), region.get_or_create("parent", lambda: 3)]))
region.backend.close()
"""

# Finds the backend by the entry point, as a program does that has the package installed.
BY_NAME = """
import json, sys
from dogpile.cache import make_region
sys.path.insert(0, sys.argv[2])
region = make_region().configure("store", arguments={"location": sys.argv[1]})
print(json.dumps(type(region.backend).__module__))
region.backend.close()
"""


@pytest.fixture
def new_region(place: str) -> Iterator[NewRegion]:
    """`new_region(expiration_time=None, **arguments)` on the place of the test."""
    made: list[CacheRegion] = []

    def new(expiration_time: float | None = None, region: dict[str, Any] | None = None, **arguments: Any) -> CacheRegion:
        made.append(make_region(**region or {}))
        return made[-1].configure("store", expiration_time, arguments={"location": place, **arguments})

    yield new
    for region in made:
        region.actual_backend.close()


def never() -> Any:
    raise AssertionError("there is a value: none is to be created")


def test_value_comes_back_with_the_time_it_was_created_at(new_region: NewRegion) -> None:
    region = new_region()
    region.set("x", {"a": [1, (2, 3)]})
    found = new_region().get_value_metadata("x")
    assert isinstance(found, CachedValue)
    assert found.payload == {"a": [1, (2, 3)]}
    assert 0 <= found.age < WAIT_SECONDS
    assert new_region().get_or_create("x", never) == {"a": [1, (2, 3)]}


def test_none_is_a_value(new_region: NewRegion) -> None:
    region = new_region()
    region.set("x", None)
    assert region.get("x") is None
    assert region.get("y") is NO_VALUE


def test_serialized_value_is_stored_as_its_bytes(new_region: NewRegion, place: str) -> None:
    region = new_region(region={"serializer": lambda value: json.dumps(value).encode(), "deserializer": json.loads})
    region.set_multi({"x": [1], "y": {"b": 2}})
    assert region.get_multi(["x", "y", "z"]) == [[1], {"b": 2}, NO_VALUE]
    with Store(place, namespace="cache") as s:
        assert s["x"].endswith(b"|[1]")


def test_record_needs_no_class_of_dogpile(new_region: NewRegion, place: str) -> None:
    new_region().set("x", [1])
    with Store(place, namespace="cache") as s:
        payload, metadata = s["x"]
        assert (payload, type(s["x"])) == ([1], tuple)
        assert set(metadata) == {"ct", "v"}


def test_many_values_are_written_and_deleted_as_one_step(new_region: NewRegion) -> None:
    region = new_region()
    with pytest.raises(TypeError):
        region.set_multi({"x": 1, "y": threading.Lock()})
    assert region.get_multi(["x", "y"]) == [NO_VALUE, NO_VALUE]
    region.set_multi({"x": 1, "y": 2, "z": 3})
    region.delete_multi(iter(["x", "y", "none"]))
    assert region.get_multi(["x", "y", "z"]) == [NO_VALUE, NO_VALUE, 3]


def test_expired_value_is_created_anew_and_ttl_ends_its_record(place: str, clock: Any) -> None:
    backend = StoreBackend({"location": place, "ttl": 10, "clock": clock})
    backend.set("x", CachedValue(1, {"ct": 0.0, "v": 2}))
    clock.advance(9)
    assert backend.get("x").payload == 1
    clock.advance(2)
    assert backend.get("x") is NO_VALUE
    backend.close()


def test_invalidated_region_creates_anew(new_region: NewRegion) -> None:
    region = new_region()
    region.set("x", 1)
    region.invalidate()
    assert region.get_or_create("x", lambda: 2) == 2


def test_bound_is_that_of_the_cache(new_region: NewRegion) -> None:
    region = new_region(max_records=20)
    for i in range(100):
        region.set(str(i), i)
    assert len(region.backend.cache) <= 21


# -- locks


def test_distributed_lock_is_of_all_objects_for_a_key(new_region: NewRegion) -> None:
    one, two = (new_region(distributed_lock=True).backend.get_mutex("x") for _ in range(2))
    assert isinstance(one, StoreMutex)
    assert not two.locked()
    assert one.acquire()
    assert not two.acquire(False)
    assert one.locked()
    assert two.locked()
    one.release()
    assert not two.locked()
    assert two.acquire(wait=False)
    two.release()


def test_without_distributed_lock_the_region_has_its_own(new_region: NewRegion) -> None:
    assert new_region().backend.get_mutex("x") is None
    assert new_region(distributed_lock=False).backend.get_mutex("x") is None


def test_one_of_eight_threads_creates(new_region: NewRegion) -> None:
    region, created = new_region(distributed_lock=True), []
    begin = threading.Barrier(8)

    def ask(_: int) -> Any:
        begin.wait(WAIT_SECONDS)
        return region.get_or_create("x", lambda: created.append(1) or "value")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["value"] * 8
    assert len(created) == 1


@pytest.mark.slow
def test_one_of_four_processes_creates(place: str, crowd: Crowd) -> None:
    with Store(place, namespace="counted") as s:
        assert crowd(4, CREATES, place) == [[7]] * 4
        assert s["created"] == 1


@pytest.mark.slow
def test_lock_of_a_killed_process_is_free(path: Path, start: Start) -> None:
    backend = StoreBackend({"location": path, "distributed_lock": True})
    child = start(HOLDS, path)
    assert child.hear() == "True"
    mutex = backend.get_mutex("value")
    assert mutex is not None
    assert not mutex.acquire(False)
    child.kill()
    assert mutex.acquire()
    mutex.release()
    backend.close()


def test_creator_in_another_thread_releases(new_region: NewRegion) -> None:
    done: list[threading.Thread] = []

    def create_later(region: CacheRegion, key: str, creator: Callable[[], Any], mutex: StoreMutex) -> None:
        def create() -> None:
            try:
                region.set(key, creator())
            finally:
                mutex.release()

        done.append(threading.Thread(target=create))
        done[-1].start()

    region = new_region(region={"async_creation_runner": create_later}, distributed_lock=True)
    region.set("x", "old")
    region.invalidate(hard=False)  # a value that is too old, and may be returned meanwhile
    assert region.get_or_create("x", lambda: "new", expiration_time=3600) == "old"
    done[0].join(WAIT_SECONDS)
    assert not region.key_is_locked("x")
    assert region.get("x") == "new"


def test_lost_lock_is_logged_and_the_value_returned(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    region = make_region().configure("store", arguments={"location": path, "distributed_lock": True})
    assert region.get_or_create("x", lambda: shutil.rmtree(f"{path}-locks") or 1) == 1
    assert "another process may have created the same value" in caplog.text
    region.backend.close()


def test_release_of_a_lock_that_was_not_taken_is_an_error(new_region: NewRegion) -> None:
    with pytest.raises(StoreError, match="acquire it first"):
        new_region(distributed_lock=True).backend.get_mutex("x").release()


@pytest.mark.slow
def test_region_works_on_both_sides_of_a_fork(place: str, start: Start) -> None:
    assert start(FORKS, place).result() == [0, 2, 3]


# -- trust


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_foreign_record_runs_nothing_and_is_created_anew(
    place: str, tmp_path: Path, new_region: NewRegion, caplog: pytest.LogCaptureFixture
) -> None:
    ran = tmp_path / "ran"
    with Cache[Any](place, key=THEIRS) as c:
        c["secret-key"] = (Marker(ran), {"ct": 0.0, "v": 2})
        c["plain"] = ([1], {"ct": 0.0, "v": 2})
    region = new_region(key=MINE)
    region.set("mine", 3)
    with caplog.at_level(logging.WARNING):
        assert region.get_multi(["mine", "secret-key", "plain"]) == [3, NO_VALUE, NO_VALUE]
        assert region.get("plain") is NO_VALUE
    assert not ran.exists()
    assert "created anew: Untrusted" in caplog.text
    assert "secret-key" not in caplog.text
    assert region.get_or_create("secret-key", lambda: "ours") == "ours"
    assert region.get("secret-key") == "ours"


# -- how it is switched on


def test_argument_that_is_unknown_is_named(place: str) -> None:
    with pytest.warns(UserWarning, match="no argument 'max_byte'"):
        StoreBackend({"location": place, "max_byte": 5}).close()


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({}, KeyError, "give the path or URL of the cache"),
        ({"max_records": 0}, ValueError, "max_records is a number from 1 up"),
        ({"trust": "everybody"}, ValueError, "unknown trust"),
        ({"writeback": True}, UserWarning, "no argument 'writeback'"),
    ],
)
def test_wrong_argument_is_refused(path: Path, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StoreBackend({**({"location": path} if arguments else {}), **arguments})


def test_arguments_may_come_from_a_file_of_settings(place: str) -> None:
    region = make_region().configure_from_config(
        {"c.backend": "store", "c.arguments.location": place, "c.arguments.distributed_lock": "true", "c.arguments.ttl": "60"}, "c."
    )  # fmt: skip
    assert region.backend.get_mutex("x") is not None
    region.set("x", 1)
    assert region.backend.cache.store.record("x").expires is not None
    region.backend.close()


@pytest.mark.slow
def test_installed_package_gives_the_name_store(path: Path, tmp_path: Path, start: Start) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "site" / "sealed_store-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sealed-store\nVersion: 0\n")
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["dogpile.cache"].items()]
    (folder / "entry_points.txt").write_text("\n".join(["[dogpile.cache]", *lines, ""]))
    assert start(BY_NAME, path, tmp_path / "site").result() == "store.integrations.dogpile"
