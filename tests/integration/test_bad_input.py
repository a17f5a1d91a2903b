"""Names, values and options that cannot be right: each is told apart, and what was stored stands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.errors import StoreClosed, StoreError

SURROGATE = "half \ud800 a character"


class Text(str):
    """A str that is another class's."""


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    with Store(place) as opened:
        opened["kept"] = "as it was"
        yield opened


def use_name(s: Store[Any], name: Any) -> dict[str, Callable[[], Any]]:
    """Every way in for a name."""
    return {
        "get": lambda: s[name],
        "set": lambda: s.__setitem__(name, 1),
        "del": lambda: s.__delitem__(name),
        ".get": lambda: s.get(name),
        "pop": lambda: s.pop(name, None),
        "setdefault": lambda: s.setdefault(name, 1),
        "update": lambda: s.update([(name, 1)]),
        "put": lambda: s.put(name, 1),
        "get_many": lambda: s.get_many([name]),
        "record": lambda: s.record(name),
        "edit": lambda: s.edit(name).__enter__(),
        "modify": lambda: s.modify(name, lambda value: value, default=1),
        "touch": lambda: s.touch(name, 1.0),
        "lock": lambda: s.lock(name).__enter__(),
        "within": lambda: s.within(name),
        "names": lambda: s.names(name),
        "records": lambda: list(s.records(name)),
    }


WAYS = list(use_name(None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [1, None, b"kept"], ids=repr)
def test_name_that_is_no_str(s: Store[Any], name: Any, way: str) -> None:
    with pytest.raises(TypeError, match=rf"a (name|namespace|prefix) is a str, not {type(name).__name__}: "):
        use_name(s, name)[way]()
    assert dict(s) == {"kept": "as it was"}


def test_name_that_is_no_str_is_not_in_the_store(s: Store[Any]) -> None:
    assert 1 not in s
    assert b"kept" not in s
    assert (1, 1) not in s.items()


ABSENT = {
    "get": KeyError, "del": KeyError, "record": KeyError, "touch": KeyError, ".get": None, "pop": None, "get_many": {},
}  # fmt: skip


@pytest.mark.parametrize("make", [str, Text], ids=["str", "subclass"])
@pytest.mark.parametrize("way", ABSENT)
def test_name_with_a_lone_surrogate_is_absent(s: Store[Any], way: str, make: Callable[[str], str]) -> None:
    call, outcome = use_name(s, make(SURROGATE))[way], ABSENT[way]
    if outcome is KeyError:
        with pytest.raises(KeyError):
            call()
    else:
        assert call() == outcome
    assert make(SURROGATE) not in s
    assert make(SURROGATE) not in s.keys()  # noqa: SIM118
    assert (make(SURROGATE), 1) not in s.items()
    assert s.get(make(SURROGATE), 3) == 3
    with pytest.raises(KeyError):
        s.inspect(make(SURROGATE))


@pytest.mark.parametrize("way", [*sorted(set(WAYS) - set(ABSENT)), "after", "namespace"])
def test_name_with_a_lone_surrogate(s: Store[Any], way: str, place: str) -> None:
    ways = use_name(s, SURROGATE) | {
        "after": lambda: s.names(after=SURROGATE),
        "namespace": lambda: Store(place, namespace=SURROGATE),
    }
    with pytest.raises(ValueError, match=r"must be valid text, and '\\ud800' at position 5") as caught:
        ways[way]()
    assert not isinstance(caught.value, UnicodeError)
    assert dict(s) == {"kept": "as it was"}


@pytest.mark.parametrize(
    "name",
    ["", "n" * 65536, "ключ", "日本語", "🔑", "\1", "a\1b", " ", "a\nb", "%", "_", "'; --", "\U0010ffff",
     "\u00e9", "e\u0301"],
    ids=lambda name: ascii(name[:12]),
)  # fmt: skip
def test_unusual_name_works_everywhere(s: Store[Any], name: str) -> None:
    s[name] = {"value": name}
    s[name + "x"] = "its neighbour"
    s.touch(name, 1000.0)
    with s.edit(name) as value:
        value["more"] = 1
    assert s[name] == {"value": name, "more": 1}
    assert name in s
    assert list(s) == ["kept", name, name + "x"]
    assert s.names(name, limit=1) == [name]
    assert s.record(name).name == name
    assert s.get_many([name, name + "x"]) == {name: {"value": name, "more": 1}, name + "x": "its neighbour"}
    with s.lock(name):
        pass
    with s.within(name) as inner:
        inner["deep"] = name
        assert s.namespaces() == sorted({"", name})
    del s[name]
    assert name not in s
    assert s[name + "x"] == "its neighbour"


NUMBERS = {
    "ttl": [(0, ValueError), (-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError),
            ("1", TypeError), (True, TypeError), (b"1", TypeError), ([1], TypeError), (1j, TypeError)],
    "timeout": [(-0.1, ValueError), (float("nan"), ValueError), ("1", TypeError), (True, TypeError),
                (None, TypeError)],
}  # fmt: skip
BAD_NUMBERS = [(option, value, kind) for option, values in NUMBERS.items() for value, kind in values]


@pytest.mark.parametrize("option, value, kind", BAD_NUMBERS, ids=repr)
def test_option_that_is_no_sensible_number(path: Path, option: str, value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^{option} is a number of seconds.* not "):
        Store(path, **{option: value})
    assert not path.exists()


@pytest.mark.parametrize("value, kind", NUMBERS["ttl"], ids=repr)
def test_ttl_of_one_record_that_is_no_sensible_number(s: Store[Any], value: Any, kind: type[Exception]) -> None:
    for call in (lambda: s.put("kept", "new", ttl=value), lambda: s.touch("kept", value)):
        with pytest.raises(kind, match=r"^ttl is a number of seconds"):
            call()
    assert s["kept"] == "as it was"
    assert s.record("kept").expires is None


def test_ttl_beyond_the_calendar_is_kept_and_shown_as_its_last_year(s: Store[Any]) -> None:
    assert s.put("kept", "for long", ttl=1e12).expires.year == 9999  # type: ignore[union-attr]
    assert s.touch("kept", 1e300).expires.year == 9999  # type: ignore[union-attr]
    assert s["kept"] == "for long"
    assert [record.name for record in s.records()] == ["kept"]


OPTIONS = [
    ("mode", "rw", ValueError, r"unknown mode 'rw': one of r, w, c, n"),
    ("mode", None, ValueError, r"unknown mode None: one of r, w, c, n"),
    ("mode", ["r"], ValueError, r"unknown mode \['r'\]: one of r, w, c, n"),
    ("codec", "marshal", ValueError, r"unknown codec 'marshal': one of pickle, json"),
    ("codec", None, TypeError, r"a codec is the name of one, or an object .*, not None"),
    ("codec", ["pickle"], TypeError, r"a codec is the name of one, or an object .*, not \['pickle'\]"),
    ("trust", "none", ValueError, r"unknown trust 'none': one of own, data, all"),
    ("trust", True, ValueError, r"unknown trust True: one of own, data, all"),
    ("durability", "high", ValueError, r"unknown durability 'high': one of normal, full"),
    ("durability", [], ValueError, r"unknown durability \[\]: one of normal, full"),
    ("protocol", 6, ValueError, r"the codec 'pickle' has protocols 0 to 5, not 6"),
    ("protocol", "5", TypeError, r"protocol is an int, not '5'"),
    ("protocol", True, TypeError, r"protocol is an int, not True"),
    ("namespace", 1, TypeError, r"a namespace is a str, not int"),
    ("key", 5, TypeError, r"key is bytes, str, a path, or a sequence of them \(newest first\), not int"),
    ("key", [], TypeError, r"key is bytes, str, a path, or a sequence of them"),
    ("key", [5], TypeError, r"key is bytes, str, a path, or a sequence of them \(newest first\), not int"),
    ("key", "", ValueError, r"key= holds no key"),
    ("key", b"", ValueError, r"a key may not be empty"),
    ("allow", 5, TypeError, r"allow takes a sequence of classes and dotted names, not 5"),
    ("allow", "decimal.Context", TypeError, r"write allow=\['decimal.Context'\]"),
    ("allow", Path, TypeError, r"write allow=\[Path\]"),
    ("allow", [5], TypeError, r"allow takes classes and dotted names, not 5"),
    ("allow", ["no.such.Class"], ValueError, r"allow='no.such.Class': there is no such module here"),
    ("allow", ["decimal.Nothing"], ValueError, r"allow='decimal.Nothing': there is no class of that dotted name"),
    ("allow", ["os.system"], ValueError, r"allow='os.system': there is no class of that dotted name"),
    ("allow", ["Holder"], ValueError, r"write it as module.Class"),
    ("allow", [".relative.Class"], ValueError, r"write it as module.Class"),
]


@pytest.mark.parametrize("option, value, kind, message", OPTIONS, ids=lambda part: repr(part)[:30])
def test_option_that_is_unknown(s: Store[Any], option: str, value: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        Store(s.location, **{option: value})
    assert not isinstance(caught.value, StoreError)  # the program is wrong, not the world
    assert s["kept"] == "as it was"
    with pytest.raises(kind, match=message):
        Store(f"{s.location}.new", **{option: value})
    assert not os.path.exists(f"{s.location}.new")  # no file is made for what can never be right


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"codec": "marshal"}, ValueError, "unknown codec 'marshal': one of pickle, json"),
        ({"protocol": 6}, ValueError, "the codec 'pickle' has protocols 0 to 5, not 6"),
        ({"codec": "json", "protocol": 5}, ValueError, "the codec 'json' has protocols 1 to 1, not 5"),
        ({"protocol": 5.0}, TypeError, "protocol is an int, not 5.0"),
        ({"if_version": 0}, TypeError, "if_version is a Record, its version, or store.ABSENT"),
        ({"if_version": False}, TypeError, "if_version is a Record, its version, or store.ABSENT"),
    ],
    ids=repr,
)
def test_option_of_put_that_is_unknown(
    s: Store[Any], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        s.put("kept", "new", **options)
    assert s["kept"] == "as it was"


@pytest.mark.parametrize("limit, kind", [(-1, ValueError), (2**63, ValueError), ("1", TypeError), (True, TypeError)])
def test_limit_of_names_that_is_no_sensible_number(s: Store[Any], limit: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="limit is a number of names"):
        s.names(limit=limit)
    assert s.names(limit=2**63 - 1) == ["kept"]


CLOSED = {
    **{way: (lambda s, way=way: use_name(s, "kept")[way]()) for way in WAYS},
    "in": lambda s: "kept" in s,
    "len": len,
    "bool": bool,
    "iter": list,
    "reversed": lambda s: list(reversed(s)),
    "items": lambda s: list(s.items()),
    "==": lambda s: s == {},
    "|": lambda s: s | {},
    "|=": lambda s: s.__ior__({"a": 1}),
    "clear": lambda s: s.clear(),
    "popitem": lambda s: s.popitem(),
    "transaction": lambda s: s.transaction().__enter__(),
    "purge": lambda s: s.purge(),
    "stats": lambda s: s.stats(),
    "namespaces": lambda s: s.namespaces(),
    "sync": lambda s: s.sync(),
    "with": lambda s: s.__enter__(),
}


@pytest.mark.parametrize("writeback", [False, True])
@pytest.mark.parametrize("way", CLOSED)
def test_use_after_close(place: str, way: str, writeback: bool) -> None:
    s: Store[Any] = Store(place, writeback=writeback)
    s["kept"] = [1]
    s.close()
    s.close()  # twice is fine
    with pytest.raises(StoreClosed, match="was closed; open it again") as caught:
        CLOSED[way](s)
    assert isinstance(caught.value, ValueError)
    assert "closed" in repr(s)
    with store.Store(place) as again:
        assert dict(again) == {"kept": [1]}
