"""The search for the part that cannot be encoded: circles and cost."""

from __future__ import annotations

import io
import itertools
import pickle
import threading
from typing import Any

import pytest
from holders import Counting, Held, found_by
from hypothesis import given, settings
from hypothesis import strategies as st

from store.values.culprit import search as search
from store.values.culprit.search import explain

LOCK = threading.Lock()
WIDE = 50_000


# Circles


def test_child_that_knows_its_parent_is_not_the_culprit() -> None:
    parent = Held()
    parent.child = Held(parent=parent)
    parent.children = [Held(parent=parent, sibling=parent.child)]
    parent.problem = LOCK
    assert found_by(parent).path == "value.problem"
    assert found_by({"a": [parent.child]}).path == "value['a'][0].parent.problem"


def test_list_that_contains_itself() -> None:
    loop: list[Any] = []
    loop += [loop, {"loop": loop}, (1, LOCK), loop]
    assert found_by(loop).path == "value[2][1]"
    assert found_by([loop, loop]).path == "value[0][2][1]"


def test_one_child_of_many_that_all_know_their_parent() -> None:
    parent = Held()
    parent.children = [Held(parent=parent, number=[n]) for n in range(1000)]
    parent.children[777].problem = LOCK
    encode = Counting()
    assert found_by(parent, encode).path == "value.children[777].problem"
    assert encode.calls < 60


def test_culprit_beside_many_children_that_all_know_their_parent() -> None:
    parent = Held()
    parent.children = [Held(parent=parent, number=[n]) for n in range(200)]
    parent.problem = LOCK
    encode = Counting()
    assert found_by(parent, encode).path == "value.problem"
    assert encode.calls < 10


def test_linked_list_is_not_walked_link_by_link() -> None:
    links = [Held(number=[n]) for n in range(60)]
    for this, following in itertools.pairwise(links):
        this.following, following.before = following, this
    links[50].problem = LOCK
    encode = Counting()
    assert found_by(links, encode).path == "value[50].problem"
    assert encode.calls < 40


def test_circle_in_which_one_fails_of_itself() -> None:
    """The encoder's own objection, to an object that has parts: no part alone fails but through it."""
    first, second = Held(name="first"), Held(name="second")
    first.other, second.other = second, first

    def encode(part: Any) -> None:
        if b"second" in pickle.dumps(part):
            raise TypeError("no second")

    assert found_by([[first]], encode).path == "value[0][0].other.name"


class Refused(Held):
    """The encoder's own objection: it has parts, and all of them can be encoded."""


class Refusing(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Refused:
            raise TypeError("refused")
        return NotImplemented


def test_object_that_is_refused_beside_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deepest that fails is in the circle, and what had been put off is fine."""
    monkeypatch.setattr(search, "LOOK_AHEAD", 4)
    first = Held()
    first.way_round = Held(further=Held(back=first))
    first.problem = Refused(held=[[1]])
    culprit = found_by([first, Held(), Held(), Held()], lambda part: Refusing(io.BytesIO()).dump(part))
    assert culprit.path == "value[0].problem"


@given(st.integers(2, 30), st.data())
@settings(max_examples=100, deadline=None)
def test_culprit_in_a_random_graph_is_reached_by_its_path(size: int, data: st.DataObject) -> None:
    nodes = [Held(links=[]) for _ in range(size)]
    for n in range(1, size):
        nodes[data.draw(st.integers(0, n - 1))].links.append(nodes[n])
    for here, there in data.draw(st.lists(st.tuples(st.sampled_from(nodes), st.sampled_from(nodes)), max_size=40)):
        here.links.append(there)
    culprit_of = data.draw(st.sampled_from(nodes))
    culprit_of.problem = LOCK
    culprit = found_by(nodes[0])
    assert culprit.path.endswith(".problem")
    assert eval(culprit.path, {"value": nodes[0]}) is LOCK
    assert eval(culprit.path.removesuffix(".problem"), {"value": nodes[0]}) is culprit_of


# Cost


@pytest.mark.parametrize("at", [0, 1, WIDE // 2 + 1, WIDE - 1])
def test_wide_container_costs_a_few_times_its_size(at: int) -> None:
    wide: list[Any] = [[n] for n in range(WIDE)]
    wide[at] = [LOCK]
    encode = Counting()
    assert found_by({"x": wide}, encode).path == f"value['x'][{at}][0]"
    assert encode.calls <= 2 * WIDE.bit_length() + 10
    assert encode.size <= 4 * WIDE


def test_wide_dict_of_plain_values_costs_a_few_times_its_size() -> None:
    wide: dict[int, Any] = dict.fromkeys(range(WIDE), 0)
    wide[WIDE - 1] = LOCK
    encode = Counting()
    assert found_by(wide, encode).path == f"value[{WIDE - 1}]"
    assert encode.calls <= 6
    assert encode.size <= 2 * WIDE + 10


def test_first_of_many_culprits_costs_no_more() -> None:
    encode = Counting()
    assert found_by([threading.Lock() for _ in range(10_000)], encode).path == "value[0]"
    assert encode.calls <= 30
    assert encode.size <= 5 * 10_000


def walk(part: Any) -> None:
    """An encoder that minds no depth, and knows nothing but lists of one."""
    while type(part) is list:
        (part,) = part
    if part is LOCK:
        raise TypeError("cannot pickle 'lock' object")


def nested(innermost: Any, depth: int) -> Any:
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


def test_search_minds_no_depth() -> None:
    depth = 100_000
    encode = Counting(walk)
    culprit = found_by(nested(LOCK, depth), encode)
    assert culprit.value is LOCK
    assert culprit.path == "value" + "[0]" * depth
    assert encode.calls < search.PROBES
    assert len(explain(culprit)) < 300


def test_deep_and_wide_costs_its_size_per_level() -> None:
    """Each level has a thousand items beside the way down."""
    depth, width = 40, 1000
    value: Any = LOCK
    for _ in range(depth):
        value = [*([n] for n in range(width)), value]
    encode = Counting()
    assert found_by(value, encode).path == "value" + f"[{width}]" * depth
    assert encode.size <= 5 * width * depth
    assert encode.calls < search.PROBES


def test_value_that_nests_too_deep_is_not_searched() -> None:
    encode = Counting()
    value = nested(LOCK, 100_000)
    culprit = found_by(value, encode)
    assert (culprit.path, encode.calls) == ("value", 1)
    assert culprit.value is value
    assert explain(culprit) == "value: nests too deep to be encoded"


@pytest.mark.parametrize("probes", range(12))
def test_search_without_probes_gives_the_deepest_it_knows(probes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PROBES", probes)
    monkeypatch.setattr(search, "LOOK_AHEAD", 1)
    encode = Counting()
    culprit = found_by([[1], [[2], [[LOCK]]]], encode)
    assert "value[1][1][0][0]".startswith(culprit.path)
    assert eval(culprit.path, {"value": [[1], [[2], [[LOCK]]]]}) is LOCK or probes < 11
    assert len(culprit.path) >= len("value") + 3 * (probes // 4)
    assert encode.calls <= probes + 3  # the whole at first, the result at last, and a function of ours
