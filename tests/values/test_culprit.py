"""The path to the part that cannot be encoded, by every kind of step."""

from __future__ import annotations

import copyreg
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from enum import Enum
from functools import partial
from typing import Any

import pytest

from holders import (  # isort: skip
    LOCK, PROBLEM, PROTOCOLS, Data, Held, ListLike, MakesArguments, MakesState, Pair, Reduced, Slots, WithState,
    found,
)

from store.classes.placeholder import PythonPickler
from store.values.culprit import find


class OddState(Held):
    def __getstate__(self) -> Any:
        return (1, [self.held])


class ReducedEx(Held):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return ReducedEx, (), None, iter([1, self.held]), None


class TupleLike(tuple):
    pass


class DictLike(dict):
    pass


class SetLike(set):
    pass


class OddKey(str):
    def __repr__(self) -> str:
        raise AssertionError("nobody asks for this")


class Color(Enum):
    RED = 1


class Registered(Held):
    pass


class Failing(ValueError):
    pass


STEPS: list[tuple[Any, str]] = [
    (LOCK, "value"),
    ([1, [LOCK]], "value[1][0]"),
    ((1, (LOCK,)), "value[1][0]"),
    ({"a": {1: LOCK}}, "value['a'][1]"),
    ({Color.RED: LOCK}, "value[Color.RED]"),
    ({(1, None): [LOCK]}, "value[(1, None)][0]"),
    ({"a": {LOCK: 1}}, "value['a'].key(<_thread.lock object>)"),
    ({"a": {(1, LOCK): 2}}, "value['a'].key((1, <_thread.lock object>))[1]"),
    ([{1, LOCK}], "value[0].member(<_thread.lock object>)"),
    (frozenset({(LOCK,)}), "value.member((<_thread.lock object>,))[0]"),
    (deque([1, LOCK], 3), "value[1]"),
    (Held(LOCK), "value.held"),
    (Held(Data([LOCK])), "value.held.held[0]"),
    (Held(**{"not a name": LOCK}), "value.__dict__['not a name']"),
    (Held(**{"class": LOCK}), "value.__dict__['class']"),
    (WithState(LOCK), "value.held"),
    (MakesState(LOCK), "value.held"),
    (MakesState([LOCK]), "value.held[0]"),
    (OddState(LOCK), "value.held"),
    (OddState(Held(LOCK)), "value.held.held"),
    (Reduced(LOCK), "value.held"),
    (ReducedEx(LOCK), "value.held"),
    (MakesArguments(LOCK), "value.__reduce__()[1][1][1][0]"),
    (MakesArguments(Held(LOCK)), "value.__reduce__()[1][1][1][0].held"),
    (Pair(1, Pair(LOCK, 2)), "value.right.left"),
    (TupleLike((1, LOCK)), "value[1]"),
    (ListLike([1, LOCK]), "value[1]"),
    (DictLike(a=LOCK), "value['a']"),
    (DictLike({LOCK: 1}), "value.key(<_thread.lock object>)"),
    (SetLike([LOCK]), "value.member(<_thread.lock object>)"),
    (OrderedDict(a=LOCK), "value['a']"),
    (Counter({"a": LOCK}), "value['a']"),
    (defaultdict(list, a=LOCK), "value['a']"),
    (defaultdict(lambda: 1), "value.default_factory"),
    (partial(print, 1, LOCK), "value.args[1]"),
    (partial(print, end=LOCK), "value.keywords['end']"),
    (partial(lambda: 1), "value.func"),
    (Held(LOCK).__init__, "value.__self__.held"),
    ([LOCK].append, "value.__self__[0]"),
    (Failing(1, LOCK), "value.args[1]"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value, path", STEPS, ids=[f"{n}-{path}" for n, (_, path) in enumerate(STEPS)])
def test_path_with_each_kind_of_step(value: Any, path: str, protocol: int) -> None:
    culprit = found(value, protocol)
    assert culprit.path == path
    assert culprit.value is LOCK or type(culprit.value).__name__ == "function"
    assert isinstance(culprit.error, (TypeError, pickle.PicklingError))


@pytest.mark.parametrize("protocol", (2, 5))
def test_path_through_slots(protocol: int) -> None:
    assert found(Slots(LOCK), protocol).path == "value.held"
    assert found(Slots(1, [LOCK]), protocol).path == "value._Slots__private[0]"


def test_path_to_what_its_name_does_not_lead_to() -> None:
    class Plain(Held):
        held = property(lambda self: 1)  # type: ignore[assignment]

    value = Plain.__new__(Plain)
    value.__dict__["held"] = LOCK
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed: no by-value codec to test")
    assert found(value, 5, "cloudpickle").path == "value.__dict__['held']"


def test_path_through_copyreg() -> None:
    copyreg.pickle(Registered, lambda it: (Registered, ([it.held],)))  # type: ignore[arg-type, return-value]
    try:
        assert found([Registered(LOCK)]).path == "value[0].held"
        assert found([Registered((1, LOCK))]).path == "value[0].held[1]"
        copyreg.pickle(Registered, lambda it: (Registered, ([[PROBLEM]],)))  # type: ignore[arg-type, return-value]
        assert found([Registered(LOCK)]).path == "value[0].copyreg()[1][0][0][0]"
    finally:
        del copyreg.dispatch_table[Registered]


def test_path_to_a_class_without_a_name() -> None:
    class Local:
        pass

    culprit = found({"a": [Local()]})
    assert (culprit.path, culprit.value) == ("value['a'][0].__class__", Local)


def test_number_that_the_protocol_cannot_hold_is_found_inside_its_container() -> None:
    huge = 10**5000
    assert found({"a": [1, huge]}, 0).path == "value['a'][1]"
    assert found(Held(huge), 0).path == "value.held"


def test_nothing_is_found_where_the_whole_can_be_encoded() -> None:
    assert find([1, Held(2)], TypeError(), PythonPickler, 5, pickle.dumps) is None


def test_function_is_the_culprit_where_the_codec_does_not_go_into_it() -> None:
    def enclosing(held: Any) -> Any:
        return lambda: held

    assert found([enclosing(LOCK)]).path == "value[0]"


def test_keys_are_shown_without_running_code() -> None:
    assert found({OddKey("x"): LOCK}).path == f"value[<{__name__}.OddKey object>]"
    assert found({"x" * 200: LOCK}).path == f"value['{'x' * 76}...]"
    assert found({((((1,),),),): LOCK}).path == "value[((((1,),),),)]"
    assert found({10**5000: LOCK}).path == "value[a number of 16,610 bits]"
