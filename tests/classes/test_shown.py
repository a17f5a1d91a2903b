"""Values as text in bounded time: what shares its parts, what holds itself, and what only looks like it."""

import collections
import enum
import pickle
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hostile_names import tower

import store
from store.care.foreign import holds_same
from store.classes import shown, size
from store.codecs import codecs
from store.codecs import pickle as store_pickle
from store.codecs.refusals import undecodable
from store.errors import Corrupt, NotSerializable
from store.importers.names import name_of

ITEMS = f"{2**41 - 1:,} items"  # of a tower of 40


@dataclass
class Pair:
    left: object
    right: object
    more: list = field(default_factory=list)


def pairs(make, depth=40):
    made = make(None, None)
    for _ in range(depth):
        made = make(made, made)
    return made


def entangled(count=14):
    """Lists that hold each other: as many ways through them as there are orders of them."""
    lists = [[] for _ in range(count)]
    for one in lists:
        one.extend(lists)
    return lists


TOWERS = {
    "lists": tower(),
    "tuples": pairs(lambda a, b: (a, b)),
    "dicts": pairs(lambda a, b: {"a": a, "b": b}),
    "dataclasses": pairs(Pair),
    "exceptions": pairs(ValueError),
    "namespaces": pairs(lambda a, b: SimpleNamespace(a=a, b=b)),
    "deques": pairs(lambda a, b: collections.deque([a, b])),
    "a long text": [["x" * 100_000] * 1000] * 1000,
    "a long number": [1 << 400_000] * 10_000,
    "lists of each other": entangled(),
    "a dict with itself": {"x": entangled()},
}


@pytest.mark.parametrize("what", TOWERS)
@pytest.mark.slow
def test_what_unfolds_to_far_more_is_shown_to_a_bounded_length(what):
    value = TOWERS[what]
    assert size.size_of(value).is_too_large
    assert len(shown.shown(value)) <= 60
    assert len(shown.in_full(value)) < 2000 and "too large to show: " in shown.in_full(value)


@pytest.mark.slow
def test_how_many_items_there_are_is_told():
    assert size.too_large(tower()) == ITEMS
    assert size.too_large(tower(100_000)).startswith("more than 4,611,")
    assert shown.in_full(tower()).endswith(f"… (too large to show: {ITEMS})")


VALUES = [
    None, True, 1, -1.5, 1j, "text", b"bytes", [], (), {}, set(), [1, [2]], (1,), {1: {2: (3,)}}, {"a"}, frozenset({1}),
    Decimal("1.5"), collections.Counter("aab"), collections.deque([1]), range(5), Pair(1, [2]), [None] * 100_000,
    [["the same text of sixty-four characters or less, in many places"] * 100] * 100, list(range(100_000)), bytearray(b"x"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_other_values_are_shown_as_they_are(value):
    text = repr(value)
    assert shown.in_full(value) == text
    assert shown.shown(value) == (text if len(text) <= 60 else text[:57] + "...")


def test_what_holds_itself_is_shown_as_python_does():
    loop = [1]
    loop.append({"loop": loop})
    assert shown.in_full(loop) == repr(loop) == "[1, {'loop': [...]}]"
    assert shown.shown(loop) == repr(loop)


@pytest.mark.slow
def test_large_value_of_ones_own_without_shared_parts_is_shown_in_full():
    rows = [{"id": number, "text": f"text {number}" * 20} for number in range(60_000)]
    assert len(repr(rows)) > size.MOST_TEXT
    assert size.too_large(rows) == ""


def test_message_shows_what_has_no_text():
    class Unruly:
        def __repr__(self):
            raise KeyError("x")

    assert shown.shown(Unruly()) == "a value without a repr"
    assert shown.shown(10**5000) == "a number of 16,610 bits"


@pytest.mark.parametrize("make", [KeyError, ValueError, lambda value: OSError(1, value)])
def test_error_that_was_made_of_such_a_value_is_described(make):
    assert len(str(undecodable(make(tower())))) < 1000
    assert len(shown.message_of(make(tower()))) <= 500
    assert shown.message_of(ValueError("as it is")) == "as it is"


# -- where values of others are shown, compared and walked


@pytest.mark.parametrize("codec", ["json", "msgpack", "yaml", "toml", "avro"])
def test_codec_that_writes_each_place_refuses_it(codec):
    try:
        loaded = codecs.load(codec)
    except ImportError:
        pytest.skip(f"the library of the codec {codec} is not installed")
    with pytest.raises(NotSerializable, match=r"would have to write each of those, .* items; use the codec 'pickle'"):
        loaded.encode({"a": tower()}, loaded.default_protocol)


def test_values_that_share_parts_are_compared(place):
    with store.Store(place) as s:
        s["tower"] = tower()
        assert holds_same(s.opened, "tower", tower()) is True
        assert holds_same(s.opened, "tower", [tower()]) is False
        different = tower(39)
        different[0] = [different[0][0], [1]]
        assert holds_same(s.opened, "tower", [different, different]) is False


def test_key_of_others_that_shares_parts_is_no_name():
    with pytest.raises(ValueError, match="its key is a tuple"):
        name_of(TOWERS["tuples"])
    assert name_of(("a", 1)) == "('a', 1)"


class Color(enum.Enum):
    RED = 1


@store.versioned(1)
class Versioned:
    def __init__(self, x):
        self.x = x


class Calls:
    """Pickled as a call."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


def with_a_tower(body, depth=40):
    """A pickle of protocol 2 with a tower in place of the text "TOWER" in it."""
    placed = b"X\x05\x00\x00\x00TOWER"
    assert body.count(placed) == 1
    return body.replace(placed, b"]" + (b"q\xff0](h\xffh\xffe") * depth)


@pytest.mark.parametrize("what", ["enum", "versioned"])
def test_message_about_a_class_that_is_allowed_does_not_show_it(what):
    state = Versioned(1).__getstate__()
    state[next(iter(state))] = "TOWER"  # in place of its version
    bodies = {
        "enum": pickle.dumps(Calls(Color, "TOWER"), 2),
        "versioned": b"\x80\x02c%b\nVersioned\n)\x81%bb." % (__name__.encode(), pickle.dumps(state, 2)[2:-1]),
    }
    with pytest.raises(Corrupt) as raised:
        store_pickle.loads(with_a_tower(bodies[what]), allow=(Color, Versioned))
    assert len(str(raised.value)) < 500
