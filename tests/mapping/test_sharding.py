"""`ShardedStore`: names find their shard, everything is merged, and the store knows how many shards there are."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from children import Crowd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import store
from store import Store
from store.cache.notes import place_of
from store.engines.contract import PAGE_ROWS
from store.errors import Corrupt, ShardsMismatch, StoreError, Tampered
from store.mapping.sharding import routes
from store.mapping.sharding.layout import SPACE, Layout, layout_of
from store.mapping.sharding.routes import Shard, namespace_of, shard_named, shard_of
from store.mapping.sharding.sharded import ShardedStore, open_shards, shards_within

KEY, OTHER_KEY = (sha256(text).digest() for text in (b"one", b"another"))


@pytest.fixture
def sharded(location: str) -> Iterator[ShardedStore[Any]]:
    """Four shards, by the clock of the engine."""
    with open_shards(location, "many", 4, "memo", {}) as opened:
        assert isinstance(opened, ShardedStore)
        yield opened


def opened(place: str, shards: int, **options: Any) -> Any:
    return open_shards(place, "many", shards, "memo", options)


# -- which shard: it is on disk


@pytest.mark.parametrize(
    "key, of_4, of_1000",
    [("", 0, 588), ("a", 0, 180), ("user:1", 3, 983), ("é", 1, 541), ("名前", 2, 278), ("x" * 1000, 1, 413), ("\ud800", 3, 623)],
)
def test_shard_of_a_key_never_changes(key: str, of_4: int, of_1000: int) -> None:
    assert (shard_of(key, 4), shard_of(key, 1000)) == (of_4, of_1000)


def test_keys_fall_evenly() -> None:
    counted = Counter(shard_of(f"user:{number}", 8) for number in range(8000))
    assert sorted(counted) == list(range(8))
    assert max(counted.values()) < 1.15 * 1000


@given(st.text(), st.integers(2, routes.MOST), st.data())
@pytest.mark.slow
def test_namespace_of_a_shard_is_recognised(namespace: str, shards: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, shards - 1))
    for companion in routes.COMPANIONS:
        found = namespace_of(namespace, shards, index) + companion
        assert shard_named(found) == Shard(namespace, shards, index, companion)


@pytest.mark.parametrize(
    "namespace", ["many", "", "many[4]", "many[4.4]", "many[1.0]", "many[04.1]", "many[4.01]", "many[4.1]#other", "many[1025.0]", "many[٤.١]"]
)
def test_other_namespaces_are_not_taken_for_shards(namespace: str) -> None:
    assert shard_named(namespace) is None


def test_names_of_shards_are_those_of_the_page() -> None:
    assert [namespace_of("sessions", 4, index) for index in range(4)] == [f"sessions[4.{index}]" for index in range(4)]
    assert namespace_of("sessions", 1, 0) == "sessions"


@given(st.text(max_size=9), st.text(max_size=9))
def test_list_of_a_tag_is_in_the_shard_of_its_record(tag: str, name: str) -> None:
    assert routes.of_listed(place_of(tag, name)) == routes.of_result(name)


def test_routes_keep_what_changes_together_in_one_shard() -> None:
    assert routes.of_session("tag.hash1") == routes.of_session("tag.hash2") == routes.of_session("tag.") == "tag"
    assert routes.of_session("hash") == "hash"
    assert routes.of_result("mod:f:12:raised") == routes.of_result("mod:f:12") == "mod:f:12"


@pytest.mark.parametrize("shards, error", [(0, ValueError), (-1, ValueError), (1025, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)])
def test_number_of_shards_is_a_whole_number_in_bounds(location: str, shards: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="shards is a"):
        open_shards(location, "many", shards, "memo", {})


# -- merged


def test_records_are_in_the_shards_of_their_names(sharded: ShardedStore[Any]) -> None:
    sharded.update({f"n{number}": number for number in range(200)})
    for index, shard in enumerate(sharded.stores):
        assert shard.namespace == f"many[4.{index}]"
        assert len(shard) > 20
        assert {shard_of(name, 4) for name in shard} == {index}
    assert (len(sharded), sharded.namespace) == (200, "many")


def test_names_and_records_are_merged_in_order_of_names(sharded: ShardedStore[Any]) -> None:
    names = [f"{number:04}" for number in range(1300)] + ["é", "\U00010000", "\uffff"]
    sharded.update(dict.fromkeys(names, 1))
    names.sort()
    assert sharded.names() == [record.name for record in sharded.records()] == names
    assert sharded.names(reverse=True) == [record.name for record in sharded.records(reverse=True)] == names[::-1]
    for how in ({"prefix": "01"}, {"after": "0555", "limit": 7}, {"after": "0555", "limit": 600, "reverse": True}, {"limit": 0}):
        wanted = sharded.names(**how)  # type: ignore[arg-type]
        assert [record.name for record in sharded.records(**how)] == wanted  # type: ignore[arg-type]
    assert sharded.names("01") == [name for name in names if name.startswith("01")]
    assert sharded.names(after="0555", limit=3) == ["0556", "0557", "0558"]
    assert sharded.names(after="0555", limit=3, reverse=True) == ["0554", "0553", "0552"]
    with pytest.raises(TypeError, match="limit is a number"):
        sharded.names(limit="3")  # type: ignore[arg-type]


def test_everything_is_in_order_of_insertion(sharded: ShardedStore[Any]) -> None:
    names = [f"n{number * 7919 % 1009}" for number in range(1000)]
    sharded.update((name, number) for number, name in enumerate(names))
    assert list(sharded) == names
    assert list(sharded.items()) == [(name, number) for number, name in enumerate(names)]
    assert list(reversed(sharded)) == list(reversed(sharded.keys())) == names[::-1]
    assert list(reversed(sharded.values())) == list(range(1000))[::-1]
    assert list(sharded | {}) == names
    assert [sharded.popitem()[0], sharded.popitem(last=False)[0]] == [names[-1], names[0]]


def test_iterating_reads_a_page_of_each_shard(sharded: ShardedStore[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sharded.update({f"{number:05}": number for number in range(4 * PAGE_ROWS * 3)})
    read: list[int] = []
    for ns in (shard.opened for shard in sharded.stores):
        def scan(*args: Any, scan: Any = ns.engine.scan, **options: Any) -> Any:
            page = scan(*args, **options)
            read.append(len(page.items))
            return page

        monkeypatch.setattr(ns, "engine", _Proxy(ns.engine, scan=scan))
    for first in (iter(sharded), iter(sharded.items()), iter(sharded.values())):
        read.clear()
        next(iter(first))
        assert len(read) == 4 and max(read) <= PAGE_ROWS
    read.clear()
    assert sharded.names(limit=8) == [f"{number:05}" for number in range(8)]
    assert sum(read) < 100


class _Proxy:
    def __init__(self, engine: Any, **instead: Any) -> None:
        self.__dict__.update(instead, engine=engine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["engine"], name)


def test_figures_are_sums(sharded: ShardedStore[Any]) -> None:
    sharded.update({f"n{number}": number for number in range(50)})
    sharded.put("text", "x", codec="json")
    stats = sharded.stats()
    assert (stats.records, stats.codecs) == (51, {"pickle": 50, "json": 1})
    assert stats.bytes == sum(store.stats().bytes for store in sharded.stores)
    assert stats.file_bytes == sharded.stores[0].stats().file_bytes


def test_expired_records_are_purged_in_all_shards(location: str, clock: Any) -> None:
    with opened(location, 4, clock=clock, ttl=10) as s:
        s.update({f"n{number}": number for number in range(40)})
        clock.advance(11)
        assert (len(s), list(s), s.names()) == (0, [], [])
        assert s.purge() == 40


def test_delete_prefix_and_many(sharded: ShardedStore[Any]) -> None:
    sharded.update({f"{kind}{number}": 1 for kind in "ab" for number in range(30)})
    assert sharded.delete_prefix("a") == 30
    assert sharded.delete_many(["b1", "b2", "b3", "zz"]) == 3
    assert len(sharded) == 27
    with pytest.raises(TypeError, match="several"):
        sharded.delete_many("b4")
    with pytest.raises(ValueError, match="clear"):
        sharded.delete_prefix("")
    sharded.clear()
    assert not sharded


def test_transaction_is_over_all_shards(sharded: ShardedStore[Any]) -> None:
    with pytest.raises(ZeroDivisionError), sharded.transaction():
        sharded.update({f"n{number}": number for number in range(40)})
        1 / 0
    assert len(sharded) == 0
    assert sharded.transact(lambda s: s.update({f"n{number}": 1 for number in range(40)}) or len(s)) == 40


def test_names_that_cannot_be_are_refused_as_by_a_store(sharded: ShardedStore[Any]) -> None:
    with pytest.raises(TypeError):
        sharded[5] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        sharded.update({5: 1})
    with pytest.raises(TypeError):
        sharded.get_many([5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="surrogate"):
        sharded["\ud800"] = 1
    assert 5 not in sharded and "\ud800" not in sharded
    assert (sharded.get("\ud800", "none"), sharded.get_many(["\ud800"])) == ("none", {})
    assert (5, 1) not in sharded.items() and 5 not in sharded.items()  # type: ignore[comparison-overlap]


def test_cached_bytes_are_divided_among_the_shards(location: str) -> None:
    with opened(location, 4, cache_bytes=4000) as s:
        assert [store.opened.options.cache_bytes for store in s.stores] == [1000] * 4
        with s.within("other") as other:
            assert (other.namespace, other.opened.options.cache_bytes) == ("other", 4000)
    with Store(location, cache_bytes=4000) as store, closing(shards_within(store, "more", 2, "memo")) as s:
        assert s.opened.options.cache_bytes == 2000


def test_pickle_and_copy_open_the_shards_again(place: str) -> None:
    with opened(place, 4) as s:
        s["a"] = 1
        for again in (pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
            with again:
                assert (again["a"], len(again.stores), again.kind) == (1, 4, "memo")
                again["b"] = 2
        assert len(s) == 2


def test_closed_one_says_so(sharded: ShardedStore[Any]) -> None:
    assert repr(sharded) == f"<ShardedStore {sharded.location!r} namespace='many' shards=4 0 records>"
    sharded.close()
    sharded.close()
    assert repr(sharded).endswith("shards=4 closed>")
    assert all(store.opened.closed for store in sharded.stores)


# -- how many there are


def test_another_number_is_refused_and_the_right_one_named(place: str) -> None:
    with opened(place, 4) as s:
        s["a"] = 1
    for wrong, shown in ((1, "1 shard:"), (3, "3 shards:")):
        with pytest.raises(ShardsMismatch, match=f"has 4 shards, and was opened with {shown}") as caught:
            opened(place, wrong)
        assert (caught.value.namespace, caught.value.shards) == ("many", 4)
        assert f"store.reshard({s.location!r}, 'many', {wrong}, kind='memo')" in str(caught.value)
    with opened(place, 4) as s:
        assert s["a"] == 1


def test_namespace_that_has_records_is_not_sharded_over_them(kept: str) -> None:
    with opened(kept, 1) as s:
        s["a"] = 1
    for mode in ("c", "w", "r"):
        with pytest.raises(ShardsMismatch, match="has 1 shard, and was opened with 4 shards"):
            opened(kept, 4, mode=mode)
    with opened(kept, 1) as s:
        assert (s["a"], layout_of(s.opened, "many")) == (1, None)


def test_reading_records_nothing(kept: str) -> None:
    with opened(kept, 1):
        pass
    with opened(kept, 4, mode="r") as s:
        assert len(s) == 0
        assert layout_of(s.opened, "many") is None
    with opened(kept, 2):
        pass


def test_kinds_are_not_mixed(place: str) -> None:
    with opened(place, 2):
        pass
    with pytest.raises(ShardsMismatch, match="has the shards of memo, not of cache; give cache another namespace"):
        open_shards(place, "many", 2, "cache", {})


def test_mode_n_begins_with_another_number(place: str) -> None:
    for shards in (4, 3, 1, 2):
        with opened(place, shards, mode="n") as s:
            assert len(s) == 0
            s.update({f"n{number}": number for number in range(20)})
        with opened(place, shards) as s:
            assert len(s) == 20
            found = [one for one in s.namespaces() if shard_named(one) is not None]
            assert len(found) == (0 if shards == 1 else shards)


def test_mode_n_of_an_open_store_deletes_nothing_again(location: str) -> None:
    with Store(location, mode="n") as store:
        for _ in range(2):
            with closing(shards_within(store, "many", 4, "memo")) as s:
                s.setdefault("a", 1)
                assert len(s) == 1
                s["b"] = 2
                del s["b"]


def test_closing_in_a_transaction_closes_none_of_them(sharded: ShardedStore[Any]) -> None:
    with sharded.transaction():
        with pytest.raises(StoreError, match="leave the block first"):
            sharded.close()
        sharded.update({f"n{number}": number for number in range(20)})
    assert len(sharded) == 20


def test_copy_takes_the_shards_and_their_number_along(kept: str, another: str) -> None:
    with opened(kept, 4) as s:
        s.update({f"n{number}": number for number in range(20)})
    store.copy(kept, another)
    with opened(another, 4) as s:
        assert s == {f"n{number}": number for number in range(20)}
    with pytest.raises(ShardsMismatch):
        opened(another, 1)


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_layout_outlives_the_key_that_recorded_it(place: str) -> None:
    with opened(place, 4, trust="own", key=KEY):
        pass
    with opened(place, 4, trust="own", key=OTHER_KEY) as s:
        assert layout_of(s.opened, "many") == Layout(4, "memo")


def test_altered_layout_is_an_error_whose_remedy_works(place: str) -> None:
    with opened(place, 4) as s:
        s["a"] = 1
    with Store(place, namespace=SPACE, codec="json") as layouts:
        for value in ({"shards": 2**70, "kind": "memo"}, {"shards": True, "kind": "memo"}, {"shards": 4, "kind": "x"}, 5, None, {"shards": 4, "kind": "memo", "moving_to": 0}):
            layouts["many"] = value
            with pytest.raises(Corrupt, match="delete it, and open the namespace with the right number"):
                opened(place, 4)
        del layouts["many"]
    with pytest.raises(ShardsMismatch, match="has 4 shards"):  # which the records tell
        opened(place, 2)
    with opened(place, 4) as s:
        assert s["a"] == 1


@pytest.mark.damaged
def test_layout_with_a_broken_seal_is_tampered(path: Path) -> None:
    import sqlite3

    with opened(str(path), 4):
        pass
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE records SET body = ? WHERE namespace = ?", (json.dumps({"shards": 2, "kind": "memo", "moving_to": None}).encode(), SPACE))
    with pytest.raises(Tampered):
        opened(str(path), 2)


OPENS = """
from store.errors import ShardsMismatch
from store.mapping.sharding.sharded import open_shards
shards = 2 + int(sys.argv[2]) % 3
try:
    with open_shards(sys.argv[1], "many", shards, "memo", {}) as s:
        s[f"n{sys.argv[2]}"] = 1
    print(json.dumps(shards))
except ShardsMismatch as exc:
    print(json.dumps(-exc.shards))
"""


@pytest.mark.heavy
def test_of_many_processes_that_open_it_first_one_number_wins(place: str, crowd: Crowd) -> None:
    told = crowd(9, OPENS, place)
    (won,) = {abs(one) for one in told}
    assert [one > 0 for one in told] == [2 + number % 3 == won for number in range(9)]
    with open_shards(place, "many", won, "memo", {}) as s:
        assert len(s) == 3


WRITES = """
from store.mapping.sharding.sharded import open_shards
number = int(sys.argv[2])
with open_shards(sys.argv[1], "many", 4, "memo", {}) as s:
    for i in range(40):
        s.incr(f"n{i}")
        s[f"{number}-{i}"] = i
        s.update({f"m{i}": number, f"o{i}": number})
        s.delete_many([f"{number}-{i - 1}", "none"])
    print(json.dumps(len(list(s))))
"""


@pytest.mark.heavy
def test_many_processes_share_the_shards(place: str, crowd: Crowd) -> None:
    crowd(6, WRITES, place)
    with open_shards(place, "many", 4, "memo", {}) as s:
        assert [s[f"n{i}"] for i in range(40)] == [6] * 40
        assert len(s) == len(list(s)) == len(s.names()) == 3 * 40 + 6


# -- beside a dict

NAMES = st.sampled_from([f"n{number}" for number in range(12)] + ["n1:raised", "é"])


class ShardsAndDict(RuleBasedStateMachine):
    """Two handles on the shards of one namespace, by a clock that goes on with each write; the model is a dict."""

    store: ClassVar[Store[Any]]
    now: ClassVar[float] = 1_800_000_000.0
    namespaces = count()

    def __init__(self) -> None:
        super().__init__()
        namespace = f"run {next(self.namespaces)}"
        self.open = [shards_within(self.store, namespace, 3, "memo") for _ in range(2)]
        self.model: dict[str, Any] = {}

    def teardown(self) -> None:
        for one in self.open:
            one.close()

    @property
    def one(self) -> ShardedStore[Any]:
        self.open.reverse()
        ShardsAndDict.now += 0.01
        assert isinstance(self.open[0], ShardedStore)
        return self.open[0]

    @rule(name=NAMES, value=st.integers())
    def put(self, name: str, value: int) -> None:
        self.one[name] = self.model[name] = value

    @rule(pairs=st.lists(st.tuples(NAMES, st.integers()), max_size=6), is_iterator=st.booleans())
    def update(self, pairs: list[tuple[str, int]], is_iterator: bool) -> None:
        self.one.update(iter(pairs) if is_iterator else dict(pairs))
        self.model.update(pairs)

    @rule(name=NAMES, value=st.integers())
    def setdefault(self, name: str, value: int) -> None:
        assert self.one.setdefault(name, value) == self.model.setdefault(name, value)

    @rule(name=NAMES, value=st.integers())
    def add(self, name: str, value: int) -> None:
        assert self.one.add(name, value) is (name not in self.model)
        self.model.setdefault(name, value)

    @rule(name=NAMES)
    def incr(self, name: str) -> None:
        self.model[name] = self.model.get(name, 0) + 1
        assert self.one.incr(name) == self.model[name]

    @rule(name=NAMES)
    def pop(self, name: str) -> None:
        assert self.one.pop(name, None) == self.model.pop(name, None)

    @rule(last=st.booleans())
    def popitem(self, last: bool) -> None:
        if not self.model:
            with pytest.raises(KeyError):
                self.one.popitem(last)
            return
        name = list(self.model)[-1 if last else 0]
        assert self.one.popitem(last) == (name, self.model.pop(name))

    @rule(names=st.lists(NAMES, max_size=6))
    def delete_many(self, names: list[str]) -> None:
        there = {name for name in names if name in self.model}
        assert self.one.delete_many(names) == len(there)
        for name in there:
            del self.model[name]

    @rule(names=st.lists(NAMES, max_size=6))
    def get_many(self, names: list[str]) -> None:
        found = self.one.get_many(names)
        assert list(found.items()) == [(name, self.model[name]) for name in dict.fromkeys(names) if name in self.model]

    @rule(after=NAMES, limit=st.integers(0, 5), reverse=st.booleans())
    def page(self, after: str, limit: int, reverse: bool) -> None:
        names = [name for name in self.model if (name < after if reverse else name > after)]
        assert self.one.names("", after, limit, reverse) == sorted(names, reverse=reverse)[:limit]

    @rule()
    def clear(self) -> None:
        self.one.clear()
        self.model.clear()

    @invariant()
    def is_the_dict(self) -> None:
        one = self.one
        assert (len(one), bool(one), one == self.model) == (len(self.model), bool(self.model), True)
        assert list(one.items()) == list(self.model.items())
        assert list(one) == list(one | {}) == list(self.model)


@pytest.mark.slow
def test_shards_do_as_a_dict_does(location: str) -> None:
    with Store(location, clock=lambda: ShardsAndDict.now) as ShardsAndDict.store:
        run_state_machine_as_test(
            ShardsAndDict,
            settings=settings(
                max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
            ),
        )
