"""What is said about the culprit: one stable form per situation, and what to do about it."""

from __future__ import annotations

import pickle
import re
import socket
import sqlite3
import sys
import threading
import types
from contextlib import closing
from typing import Any

import pytest
from holders import found

from store.errors import NotSerializable
from store.values.remedies import Culprit, explain, remedy

LOCK = threading.Lock()
PROTOCOLS = (0, 2, 5)


class Holder:
    def __init__(self, held: Any = None) -> None:
        self.held = held


class HolderWithState(Holder):
    def __getstate__(self) -> Any:
        return self.__dict__


class HolderWithReduce(Holder):
    def __reduce__(self) -> Any:
        return HolderWithReduce, (self.held,)


class HolderList(list):
    pass


class Problem(Exception):
    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held


class BadState:
    def __getstate__(self) -> Any:
        return {}["x"]


class BadReduce:
    def __reduce__(self) -> Any:
        raise RuntimeError


class BadReduceEx:
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ValueError(f"not {object()!r}" + "x" * 400)


class Delegating:
    def __reduce__(self) -> Any:
        return Delegating, (), BadState().__getstate__()


class Slots:
    __slots__ = ("x",)


class Moved:
    """Its name leads to another class by now."""


moved, Moved = Moved(), type("Moved", (), {})  # type: ignore[misc]


def told(value: Any, protocol: int = 5) -> Culprit:
    return found(value, protocol)


def local_things() -> tuple[Any, Any, Any]:
    class Local:
        pass

    def function() -> None: ...

    return (lambda: 1), function, Local


LAMBDA, FUNCTION, LOCAL = local_things()
WHERE = "local_things.<locals>"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value, text",
    [
        ({"a": LOCK}, "value['a']: cannot pickle 'lock' object"),
        ([x for x in [(1 for _ in ())]], "value[0]: cannot pickle 'generator' object"),  # noqa: C416
        ([sys], "value[0]: cannot pickle the module 'sys'"),
        ([LAMBDA], f"value[0]: cannot pickle the function '{WHERE}.<lambda>', it has no name that could be imported"),
        ([FUNCTION], f"value[0]: cannot pickle the function '{WHERE}.function', it has no name that could be imported"),
        ([LOCAL], f"value[0]: cannot pickle the class '{WHERE}.Local', it has no name that could be imported"),
        (LOCAL(), f"value.__class__: cannot pickle the class '{WHERE}.Local', it has no name that could be imported"),
        (moved, f"value.__class__: cannot pickle the class 'Moved', it is not what '{__name__}.Moved' leads to"),
        ([BadState()], "value[0]: its __getstate__ raised KeyError: 'x'"),
        ([BadReduce()], "value[0]: its __reduce__ raised RuntimeError"),
        ([Delegating()], "value[0]: its __reduce__ raised KeyError: 'x'"),
        ([BadReduceEx()], "value[0]: its __reduce_ex__ raised ValueError: not <object object>" + "x" * 281),
    ],
)
def test_text_in_each_situation_is_the_same_at_every_protocol(value: Any, text: str, protocol: int) -> None:
    assert explain(told(value, protocol)) == text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_text_for_sockets_files_and_connections(protocol: int) -> None:
    with closing(socket.socket()) as open_socket, closing(sqlite3.connect(":memory:")) as connection:
        assert explain(told(Holder(open_socket), protocol)) == "value.held: cannot pickle 'socket' object"
        assert advice(Holder(open_socket), protocol=protocol).startswith("leave it out")
        if protocol >= 2:  # older ones hold an empty shell of it, without an error
            assert explain(told([connection], protocol)) == "value[0]: cannot pickle 'Connection' object"
    with open(__file__) as file:
        assert explain(told([file], protocol)) == "value[0]: cannot pickle 'TextIOWrapper' object"


def test_text_of_any_other_error() -> None:
    error = ValueError("at <x.Y object at 0x7f00ab>: " + "z" * 400)
    text = explain(Culprit("value", 1, error))
    assert text == "value: ValueError: at <x.Y object>: " + "z" * (300 - len("at <x.Y object>: "))


def test_text_of_an_error_about_something_inside() -> None:
    """As when the search ran out of probes: the container itself is none that cannot be pickled."""
    error = TypeError("cannot pickle '_thread.lock' object")
    assert explain(Culprit("value.big", [LOCK], error)) == "value.big: TypeError: cannot pickle '_thread.lock' object"


def test_text_where_the_error_has_none() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert explain(Culprit("value", 1, Mute())) == "value: Mute"


def test_text_of_a_long_path_is_cut_in_the_middle() -> None:
    text = explain(Culprit("value" + "[0]" * 500 + ".socket", LOCK, TypeError("cannot pickle 'lock' object")))
    assert text.startswith("value[0][0]")
    assert text.endswith("[0][0].socket: cannot pickle 'lock' object")
    assert len(text) < 250


@pytest.mark.parametrize("cause", [RecursionError("maximum recursion depth"), None])
def test_text_of_a_recursion_error_in_its_wrapping(cause: Exception | None) -> None:
    error = NotSerializable("too deep")
    error.__cause__ = pickle.PicklingError("too deep")
    error.__cause__.__cause__ = cause
    text = "nests too deep to be encoded" if cause else "PicklingError: too deep"
    assert explain(Culprit("value", [], error)) == f"value: {text}"


def test_no_text_holds_an_address() -> None:
    values = [LOCK, LAMBDA, FUNCTION, LOCAL(), moved, BadReduceEx(), sys, Holder(LOCK), {object(): LOCK}]
    for value in values:
        assert not re.search("0x[0-9a-f]{4}", explain(told([value])))


# What to do


def advice(value: Any, codec: str = "pickle", *installed: str, protocol: int = 5) -> str:
    return remedy(told(value, protocol), codec, lambda library: library in installed)


USE = "use the codec 'cloudpickle'"


@pytest.mark.parametrize("value", [LAMBDA, FUNCTION, LOCAL, LOCAL(), moved, types.MappingProxyType({}), {}.keys()])
def test_remedy_is_a_codec_where_one_can(value: Any) -> None:
    assert advice([value]) == f"{USE} (pip install cloudpickle)"
    assert advice([value], "pickle", "cloudpickle") == USE
    assert "cloudpickle" not in advice([value], "cloudpickle")
    assert "cloudpickle" not in advice([value], "dill")


def test_remedy_that_names_the_codec_holds_what_it_promises() -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed: its promise is untested")
    for value in (LAMBDA, FUNCTION, LOCAL, LOCAL(), moved, types.MappingProxyType({}), {}.keys()):
        cloudpickle.loads(cloudpickle.dumps(value))


@pytest.mark.parametrize(
    "value, text",
    [
        (LOCK, "store what it can be made from instead"),
        ([{"a": LOCK}], "take it out of the value"),
        (HolderList([LOCK]), "take it out of the value"),
        (threading.Thread(), "take it out of the value"),
        (Holder(LOCK), f"leave it out: give {__name__}.Holder a __getstate__"),
        ({"a": Holder([(LOCK,)])}, f"leave it out: give {__name__}.Holder a __getstate__"),
        (Holder(HolderList([LOCK])), f"leave it out: give {__name__}.Holder a __getstate__"),
        (Holder(threading.Thread()), f"leave it out: give {__name__}.Holder a __getstate__"),
        (Holder(HolderWithState(LOCK)), f"leave it out: change {__name__}.HolderWithState.__getstate__"),
        (HolderWithReduce(LOCK), f"leave it out: change {__name__}.HolderWithReduce.__reduce__"),
        (Problem(LOCK), f"leave it out: give {__name__}.Problem a __reduce__"),
        ([sys], "store its name, and import it after reading"),
        ([BadState()], f"correct {__name__}.BadState.__getstate__"),
        (Holder(BadReduce()), f"correct {__name__}.BadReduce.__reduce__"),
    ],
)
def test_remedy_in_each_situation(value: Any, text: str) -> None:
    assert advice(value) == text
    assert advice(value, "cloudpickle") == text
    assert advice(value, "pickle", "cloudpickle") == text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_remedy_for_a_lock_is_the_same_at_every_protocol(protocol: int) -> None:
    assert advice(Holder(LOCK), protocol=protocol) == f"leave it out: give {__name__}.Holder a __getstate__"
    assert advice(HolderList([LOCK]), protocol=protocol) == "take it out of the value"


def test_remedy_for_slots_at_an_old_protocol() -> None:
    assert advice([Slots()], protocol=0) == f"use protocol 2 or later, or give {__name__}.Slots a __getstate__"


def test_remedy_for_what_nests_too_deep() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert advice(value) == "make it flatter, or store its parts as records of their own"


def test_holder_is_a_class_of_the_program() -> None:
    assert told(Holder([LOCK])).holder is Holder
    assert told(Holder(threading.Thread())).holder is Holder
    assert told(threading.Thread()).holder is None
    assert told([LOCK]).holder is None
    assert told(Holder(LOCAL)).holder is Holder


def test_holder_is_no_class_that_was_installed() -> None:
    """hypothesis is installed wherever this runs: a class of its cannot be changed by the user."""
    import hypothesis

    installed = type("Installed", (Holder,), {"__module__": "hypothesis"})
    hypothesis.Installed = installed  # type: ignore[attr-defined]
    try:
        assert told(installed(LOCK)).holder is None
        assert told(Holder(installed(LOCK))).holder is Holder
    finally:
        del hypothesis.Installed  # type: ignore[attr-defined]
