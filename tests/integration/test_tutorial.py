"""What pickle tutorials show, here: the same code, with one line more at most, and none for a store's own user.

That line is `@store.allow` above a class, and only `codecs.pickle.loads` and `load` need it: bytes bear no
seal, so they cannot tell who wrote them. A store can tell.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import io
import math
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.codecs import pickle
from store.errors import Untrusted


@store.allow
class Person:
    def __init__(self, name: str, age: int) -> None:
        self.name = name
        self.age = age

    def greet(self) -> str:
        return f"Hello, I am {self.name}"


@store.allow
class Repository:
    """Holds a connection, which cannot be pickled: left out, and made anew."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.connection: sqlite3.Connection | None = sqlite3.connect(path)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["connection"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.connection = sqlite3.connect(self.path)

    def close(self) -> None:
        assert self.connection is not None
        self.connection.close()

    def __del__(self) -> None:
        """A write reads back the first object of its class, and drops that copy."""
        self.close()


@store.allow
class Temperature:
    """Says itself how it is made again."""

    def __init__(self, celsius: float) -> None:
        self.celsius = celsius

    def __reduce__(self) -> tuple[Any, ...]:
        return Temperature, (self.celsius,)


@store.allow
class Interval:
    """Takes its arguments in `__new__`."""

    low: int
    high: int

    def __new__(cls, low: int, *, high: int) -> Interval:
        self = super().__new__(cls)
        self.low, self.high = low, high
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[int], dict[str, int]]:
        return (self.low,), {"high": self.high}


@store.allow
class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@store.allow
class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()


class Undeclared:
    def __init__(self) -> None:
        self.x = 1


BASIC: list[Any] = [
    None, True, False, 0, -1, 2**100, 1.5, math.inf, 1 + 2j, "text", "Zoë 名前 🎉", b"bytes", bytearray(b"array"),
    [1, "two", [3]], (1, ("two",)), {"name": "Ada", "tags": ["a", "b"], 1: None}, {1, "a"}, frozenset({1, 2}),
    range(3), slice(1, 2), datetime.date(2030, 1, 2), datetime.datetime(2030, 1, 2, 3, 4, tzinfo=datetime.UTC),
    datetime.timedelta(1), decimal.Decimal("1.10"), collections.OrderedDict(a=1), collections.Counter("abca"),
    collections.deque([1, 2], 3), collections.defaultdict(list, a=[1]), [], (), {}, set(), "",
]  # fmt: skip


@pytest.fixture(params=["dumps and loads", "dump and load", "store"])
def round_trip(request: pytest.FixtureRequest, place: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A value through each of the ways that tutorials show, and through a store."""
    if request.param == "store":
        with Store[Any](place) as s:

            def by_store(value: Any, protocol: int | None = None) -> Any:
                s.put("value", value, protocol=protocol)
                return s["value"]

            yield by_store
    elif request.param == "dumps and loads":
        yield lambda value, protocol=None: pickle.loads(pickle.dumps(value, protocol))
    else:

        def by_file(value: Any, protocol: int | None = None) -> Any:
            with (tmp_path / "data.pkl").open("wb") as file:
                pickle.dump(value, file, protocol)
            with (tmp_path / "data.pkl").open("rb") as file:
                return pickle.load(file)

        yield by_file


@pytest.mark.parametrize("protocol", [None, *range(6)])
def test_basic_types(round_trip: Callable[..., Any], protocol: int | None) -> None:
    for value in BASIC:
        back = round_trip(value, protocol)
        assert back == value
        assert type(back) is type(value)
    assert math.isnan(round_trip(math.nan, protocol))
    assert round_trip(..., protocol) is ...


def test_nested_and_shared_references(round_trip: Callable[..., Any]) -> None:
    shared = [1]
    knot: dict[str, Any] = {"a": shared, "b": shared}
    knot["self"] = knot
    back = round_trip(knot)
    assert back["a"] is back["b"]
    assert back["self"] is back
    assert back is not knot


@pytest.mark.parametrize("protocol", range(6))
def test_class_instance(round_trip: Callable[..., Any], protocol: int) -> None:
    person = round_trip(Person("Ada", 36), protocol)
    assert (person.name, person.age, person.greet()) == ("Ada", 36, "Hello, I am Ada")
    people = round_trip([Person("a", 1), Person("b", 2)], protocol)
    assert [p.name for p in people] == ["a", "b"]


@pytest.mark.parametrize("protocol", range(6))
def test_enum_and_named_tuple(round_trip: Callable[..., Any], protocol: int) -> None:
    if protocol >= 2:
        point = round_trip(Point(1, 2), protocol)
        assert (point, type(point), point.x) == ((1, 2), Point, 1)
    assert round_trip(Color.RED, protocol) is Color.RED


def test_getstate_without_the_connection(round_trip: Callable[..., Any]) -> None:
    repository = Repository(":memory:")
    with pytest.raises((TypeError, pickle.PicklingError)):
        round_trip(repository.connection)
    back = round_trip(repository)
    assert back.path == ":memory:"
    assert back.connection.execute("SELECT 1").fetchone() == (1,)
    back.close()
    repository.close()


@pytest.mark.parametrize("protocol", range(6))
def test_reduce(round_trip: Callable[..., Any], protocol: int) -> None:
    assert round_trip(Temperature(21.5), protocol).celsius == 21.5


@pytest.mark.parametrize("protocol", [4, 5])  # below, keywords take functools.partial, which is refused
def test_getnewargs_ex(round_trip: Callable[..., Any], protocol: int) -> None:
    interval = round_trip(Interval(1, high=5), protocol)
    assert (interval.low, interval.high) == (1, 5)


@pytest.mark.parametrize("protocol", range(6))
def test_functions_by_reference(round_trip: Callable[..., Any], protocol: int) -> None:
    assert round_trip(len, protocol) is len
    assert round_trip({"f": sorted}, protocol)["f"] is sorted


def test_lambda_cannot_be_pickled(round_trip: Callable[..., Any]) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        round_trip(lambda x: x)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        round_trip(iter(()).__class__ and (x for x in ()))


def test_successive_loads_from_one_file(tmp_path: Path) -> None:
    with (tmp_path / "many.pkl").open("wb") as file:
        for value in ({"a": 1}, [1, 2, 3], Person("Ada", 36)):
            pickle.dump(value, file)
    loaded = []
    with (tmp_path / "many.pkl").open("rb") as file:
        while True:
            try:
                loaded.append(pickle.load(file))
            except EOFError:
                break
    assert loaded[:2] == [{"a": 1}, [1, 2, 3]]
    assert loaded[2].name == "Ada"


def test_pickler_and_unpickler_objects() -> None:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dump([1, 2])
    pickler.dump({"b": Person("Ada", 36)})
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    assert unpickler.load() == [1, 2]
    assert unpickler.load()["b"].age == 36


def test_restricting_globals_as_the_documentation_does() -> None:
    class RestrictedUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            if module == "builtins" and name in {"range", "complex", "set"}:
                return super().find_class(module, name)
            raise pickle.UnpicklingError(f"global '{module}.{name}' is forbidden")

    assert RestrictedUnpickler(io.BytesIO(pickle.dumps([1, range(15)]))).load() == [1, range(15)]
    for attack in (b"cos\nsystem\n(S'echo hello world'\ntR.", b"cbuiltins\neval\n(S'1+1'\ntR."):
        with pytest.raises(pickle.UnpicklingError, match="is forbidden"):
            RestrictedUnpickler(io.BytesIO(attack)).load()
        with pytest.raises(pickle.UnpicklingError):  # and without a class of one's own
            pickle.loads(attack)


def test_the_one_line_is_named_where_it_is_missing() -> None:
    data = pickle.dumps(Undeclared())
    with pytest.raises(Untrusted, match=r"@store\.allow") as caught:
        pickle.loads(data)
    assert caught.value.missing == f"{__name__}.Undeclared"
    assert pickle.loads(data, allow=[Undeclared]).x == 1
    assert pickle.loads(data, trust="all").x == 1


def test_a_stores_own_user_needs_no_line(place: str) -> None:
    with Store[Any](place) as s:
        s["undeclared"] = [Undeclared()]
    with Store[Any](place) as s:
        assert s["undeclared"][0].x == 1


def test_settings(place: str) -> None:
    defaults = {"theme": "light", "font_size": 12, "recent": []}
    with Store[Any](place) as s:
        settings = s.setdefault("settings", defaults)
        assert settings == defaults
        with s.edit("settings") as settings:
            settings["theme"] = "dark"
            settings["recent"].append("a.txt")
    with Store[Any](place) as s:
        assert s["settings"] == {"theme": "dark", "font_size": 12, "recent": ["a.txt"]}


def test_sessions(place: str, clock: Any) -> None:
    with Store[Any](place, clock=clock, namespace="sessions", ttl=1800) as sessions:
        sessions["abc123"] = {"user": "ada", "cart": [1, 2]}
        clock.advance(1000)
        assert sessions["abc123"]["user"] == "ada"
        sessions.touch("abc123", 1800)  # the visitor is still there
        clock.advance(1000)
        with sessions.edit("abc123") as session:
            session["cart"].append(3)
        assert sessions["abc123"]["cart"] == [1, 2, 3]
        clock.advance(1800)
        assert sessions.get("abc123") is None
        assert sessions.purge() == 1


def test_caching_decorator(place: str) -> None:
    calls = []

    def cached(s: Store[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def call(*args: Any) -> Any:
                name = f"{function.__qualname__}{args!r}"
                if name not in s:
                    s[name] = function(*args)
                return s[name]

            return call

        return decorate

    def work(n: int) -> dict[str, int]:
        calls.append(n)
        return {"n": n, "square": n * n}

    for _ in range(2):
        with Store[Any](place) as s:
            slow = cached(s)(work)
            assert slow(3) == slow(3) == {"n": 3, "square": 9}
            assert slow(4)["square"] == 16
    assert calls == [3, 4]


def test_large_buffers_out_of_band() -> None:
    data = bytearray(b"x" * 1_000_000)
    buffers: list[pickle.PickleBuffer] = []
    packed = pickle.dumps(pickle.PickleBuffer(data), 5, buffer_callback=buffers.append)
    assert len(packed) < 100
    assert memoryview(pickle.loads(packed, buffers=buffers)).obj is data, "nothing was copied"


def test_persistent_ids() -> None:
    table = {"row 1": Undeclared()}

    class RowPickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> str | None:
            return "row 1" if obj is table["row 1"] else None

    class RowUnpickler(pickle.Unpickler):
        def persistent_load(self, pid: str) -> Any:
            return table[pid]

    file = io.BytesIO()
    RowPickler(file).dump(["see", table["row 1"]])
    file.seek(0)
    assert RowUnpickler(file).load()[1] is table["row 1"]
