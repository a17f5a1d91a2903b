"""Classes that grow: older state is brought forward, whatever kind of class it is of and wherever it stands."""

from __future__ import annotations

import copy
import pickle as stdlib
from textwrap import dedent
from typing import Any

import pytest

PROTOCOLS = range(6)

# Each kind of class at version 1, where `name` is one text, and at version 2, where it is two.
BODIES = {
    "plain": ("class User:", "name"),
    "slots": ("class User:\n    __slots__ = ('name', 'first', 'last', 'empty')", "name"),
    "slots and dict": ("class User(Slotted):", "name"),
    "slots of a base": ("class User(Slotted):\n    __slots__ = ('last', 'extra')", "name"),
    "private slot": ("class User:\n    __slots__ = ('__name', 'first', 'last')\n    name = mine('_User__name')",
                     "_User__name"),
    "dataclass": ("@dataclasses.dataclass(init=False)\nclass User:\n    first: str", "name"),
    "dict": ("class User(dict):", "name"),
    "list": ("class User(list):", "name"),
    "getstate": ("class User:\n    def __getstate__(self): return dict(vars(self))", "name"),
    "setstate": ("class User:\n    def __setstate__(self, state): vars(self).update(state)", "name"),
    "both": (
        "class User:\n    def __getstate__(self): return dict(vars(self))\n"
        "    def __setstate__(self, state): vars(self).update(state)", "name",
    ),
    "base": ("class User(Base):", "name"),
}  # fmt: skip

PRELUDE = """
import dataclasses, store

class Base:
    pass

class Slotted:
    __slots__ = ("name", "first")

def mine(name):
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))
"""
OLD = """
    def fill(self):
        self.name = "Ada Lovelace"
        return self
"""
NEW = """
    @classmethod
    def __upgrade__(cls, state, from_version):
        assert from_version == 1
        state["first"], _, state["last"] = state.pop("NAME").partition(" ")
        return state
"""


def old_source(kind: str, version: str = "") -> str:
    return PRELUDE + version + BODIES[kind][0] + OLD


def new_source(kind: str) -> str:
    return PRELUDE + "@store.versioned(2)\n" + BODIES[kind][0] + NEW.replace("NAME", BODIES[kind][1])


@pytest.mark.parametrize("kind", BODIES)
def test_older_state_of_each_kind_of_class_is_upgraded(modules: Any, decode: Any, kind: str) -> None:
    wrapped = ["User().fill()", "[User().fill()]", "{'a': (User().fill(), 1)}"]
    bodies = []
    for version in ("", "@store.versioned(1)\n"):
        first = 2 if "slot" in kind and not version else 0  # below, pickle itself refuses slots
        source = old_source(kind, version)
        bodies += [modules.pickled("app", text, n, source) for n in PROTOCOLS[first:] for text in wrapped]
    modules.add("app", new_source(kind))
    unwrap = [lambda value: value, lambda value: value[0], lambda value: value["a"][0]]
    for index, body in enumerate(bodies):
        user = unwrap[index % 3](decode(body))
        assert (user.first, user.last) == ("Ada", "Lovelace")
        assert not hasattr(user, BODIES[kind][1])


@pytest.mark.parametrize("kind", BODIES)
def test_state_of_the_current_version_is_not_upgraded_again(modules: Any, decode: Any, kind: str) -> None:
    app = modules.add("app", new_source(kind))
    user = app.User()
    user.first, user.last = "Ada", "Lovelace"
    for protocol in PROTOCOLS:
        found = decode(stdlib.dumps([user], protocol))[0]
        assert type(found) is app.User and (found.first, found.last) == ("Ada", "Lovelace")


@pytest.mark.parametrize("kind", BODIES)
def test_copies_are_whole(modules: Any, kind: str) -> None:
    user = modules.add("app", new_source(kind)).User()
    user.first, user.last = "Ada", ["Lovelace"]
    for made in COPIES:
        found = COPIES[made](user)
        assert type(found) is type(user) and (found.first, found.last) == ("Ada", ["Lovelace"])
        assert (found.last is user.last) is (made == "copy")


COPIES: dict[str, Any] = {
    "copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda value: stdlib.loads(stdlib.dumps(value)),
    "pickle in Python": lambda value: stdlib._loads(stdlib._dumps(value)),  # type: ignore[attr-defined]
}  # fmt: skip


def run(modules: Any, source: str) -> Any:
    return modules.add("app", "import dataclasses, store\n" + dedent(source))


def written(modules: Any, expression: str, source: str, protocol: int = 5) -> bytes:
    return modules.pickled("app", expression, protocol, "import dataclasses, store\n" + dedent(source))  # type: ignore[no-any-return]


COUNTED = """
    @store.versioned({version})
    class Account:
        seen = []
        def __init__(self, *friends):
            self.balance, self.friends = 1, list(friends)
        @classmethod
        def __upgrade__(cls, state, from_version):
            cls.seen.append(from_version)
            if from_version < 2: state["balance"] *= 100
            if from_version < 3: state["currency"] = "EUR"
            return state
"""
CHAINED = """
    @store.versioned(3)
    class Account:
        @classmethod
        def __upgrade__(cls, state, from_version):
            if from_version == 1:
                state = cls.__upgrade__({**state, "balance": state["balance"] * 100}, 2)
            else:
                state = {**state, "currency": "EUR"}
            return state
"""


@pytest.mark.parametrize("source", [COUNTED.format(version=3), CHAINED], ids=["in one step", "chained"])
@pytest.mark.parametrize("version, balance", [(1, 100), (2, 1)])
def test_state_comes_forward_over_several_versions(
    modules: Any, decode: Any, source: str, version: int, balance: int
) -> None:
    body = written(modules, "Account()", COUNTED.format(version=version))
    run(modules, source)
    found = decode(body)
    assert (found.balance, found.currency) == (balance, "EUR")


def test_each_object_of_a_cycle_is_upgraded_once(modules: Any, decode: Any) -> None:
    source = dedent(COUNTED).format(version=1) + "\ndef ring():\n    a = Account(); b = Account(a); a.friends = [b]; return a\n"
    bodies = [written(modules, "ring()", source, protocol) for protocol in PROTOCOLS]
    app = run(modules, COUNTED.format(version=3))
    for body in bodies:
        app.Account.seen.clear()
        a = decode(body)
        assert a.friends[0].friends[0] is a
        assert (a.balance, a.friends[0].balance, app.Account.seen) == (100, 100, [1, 1])


def test_nested_versioned_objects_are_upgraded_in_attributes_sets_and_keys(modules: Any, decode: Any) -> None:
    source = COUNTED + "\n    class Holder:\n        def __init__(self, held): self.held = held\n"
    expression = "Holder({'a': {Account(Account())}, 'b': {Account(): 1}})"
    body = written(modules, expression, source.format(version=1))
    app = run(modules, source.format(version=2))
    held = decode(body, None, [app.Holder]).held
    (account,), (key,) = held["a"], held["b"]
    assert [found.balance for found in (account, account.friends[0], key)] == [100, 100, 100]


FROZEN = """
    {version}
    @dataclasses.dataclass(frozen=True{slots})
    class Price:
        cents: int
        currency: str = "EUR"
        {upgrade}
"""
MAKE_DICT = """
        @classmethod
        def __upgrade__(cls, state, from_version):
            if type(state) is list:
                state = {"cents": state[0]}
            return {"cents": state["cents"] * 100, "currency": "USD"}
"""


@pytest.mark.parametrize("slots", ["", ", slots=True"])
@pytest.mark.parametrize("before", ["", "@store.versioned(1)"])
def test_frozen_dataclasses_are_upgraded(modules: Any, decode: Any, slots: str, before: str) -> None:
    body = written(modules, "Price(3)", FROZEN.format(version=before, slots=slots, upgrade=""))
    app = run(modules, FROZEN.format(version="@store.versioned(2)", slots=slots, upgrade=MAKE_DICT.strip()))
    assert decode(body) == app.Price(300, "USD")
    assert decode(stdlib.dumps(app.Price(3))) == app.Price(3)


@pytest.mark.parametrize("slots", ["", ", slots=True"])
def test_first_version_reads_what_was_written_before_it(modules: Any, decode: Any, slots: str) -> None:
    body = written(modules, "Price(3)", FROZEN.format(version="", slots=slots, upgrade=""))
    app = run(modules, FROZEN.format(version="@store.versioned(1)", slots=slots, upgrade=""))
    assert decode(body) == app.Price(3)


def test_dataclass_with_slots_is_upgraded(modules: Any, decode: Any) -> None:
    source = "@dataclasses.dataclass(slots=True)\nclass Price:\n    cents: int\n"
    bodies = [written(modules, "Price(3)", before + source) for before in ("", "@store.versioned(1)\n")]
    upgrade = "    currency: str\n    @classmethod\n    def __upgrade__(cls, s, v): return {**s, 'currency': 'EUR'}\n"
    app = run(modules, "@store.versioned(2)\n" + source + upgrade)
    assert [decode(body) for body in bodies] == [app.Price(3, "EUR")] * 2


STATES = {"tuple": "('a', 1)", "text": "'state'", "list": "[1, 2]", "number": "7"}


@pytest.mark.parametrize("kind", STATES)
def test_state_that_is_no_dict_is_upgraded_as_it_was_returned(modules: Any, decode: Any, kind: str) -> None:
    source = f"""
        {{version}}
        class Odd:
            def __getstate__(self): return {STATES[kind]}
            def __setstate__(self, state): self.got = state
            @classmethod
            def __upgrade__(cls, state, from_version): return "new", state, from_version
    """
    bodies = [written(modules, "Odd()", source.format(version=v)) for v in ("", "@store.versioned(1)")]
    run(modules, source.format(version="@store.versioned(2)"))
    expected = eval(STATES[kind])
    assert [decode(body).got for body in bodies] == [("new", expected, 1)] * 2
    run(modules, source.format(version="@store.versioned(1)"))
    assert [decode(body).got for body in bodies] == [expected] * 2


@pytest.mark.parametrize("state", ["None", "({'a': 1}, {'b': 2})", "({'a': 1}, None)", "(None, {'b': 2})", "{}"])
def test_getstate_alone_may_return_what_pickle_takes(modules: Any, decode: Any, state: str) -> None:
    source = f"@store.versioned(1)\nclass Odd:\n    def __getstate__(self): return {state}\n"
    app = run(modules, source)
    expected: dict[str, int] = {}
    for part in eval(state) if type(eval(state)) is tuple else (eval(state),):
        expected.update(part or {})
    assert vars(decode(stdlib.dumps(app.Odd()))) == expected
