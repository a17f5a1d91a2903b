"""Values with placeholders in them: written byte for byte or faithfully, by threads, for any value there is."""

from __future__ import annotations

import functools
import pickle as stdlib
import pickletools
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import store
from store.classes.lookup import Lookup
from store.codecs import pickle
from store.errors import Corrupt, NotSerializable

PROTOCOLS = range(6)


@pytest.fixture
def source(modules: Any) -> str:
    """The source of the module that goes away."""
    return f"{modules.source}\n{MANY}"


MANY = """
    class Own:
        def __init__(self, n): self.n = n

    def many():
        return [Own(n) for n in range(40)]
"""


def again(value: Any, protocol: int) -> bytes:
    return pickle.codec.encode(value, protocol)


def test_change_in_the_state_of_a_placeholder_is_written(modules: Any, gone: Any, source: str) -> None:
    found = gone(modules.pickled("old", "[User('Ada'), Row('a')]", 5, source))
    found[0].state["name"] = "Eve"
    found[1].list_items.append("b")
    body = again(found, 5)
    old = modules.add("old", source)
    assert stdlib.loads(body) == [old.User("Eve"), old.Row("ab")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_placeholders_as_keys_and_members_keep_their_order(modules: Any, gone: Any, source: str, protocol: int) -> None:
    for expression in (
        "{Key(): 1, 'a': 2}",
        "{Key(), 'a', 1.5}",
        "frozenset([Key(), 1])",
        "set(many())",
    ):
        body = pickletools.optimize(modules.pickled("old", expression, protocol, source))
        for _ in range(3):
            assert again(gone(body), protocol) == body


def test_placeholder_in_the_attribute_of_a_live_object(modules: Any, gone: Any, source: str) -> None:
    live = modules.add("live")
    old = modules.add("old", source)
    bodies = [stdlib.dumps(live.User([old.User("Ada"), live.Color.RED, len]), protocol) for protocol in PROTOCOLS]
    modules.remove("old")
    for protocol, body in enumerate(bodies):
        value = gone(body)
        assert type(value) is live.User and isinstance(value.name[0], store.Placeholder)
        assert again(value, protocol) == body
        value.name.append(1)
        changed = again(value, protocol)
        old = modules.add("old", source)
        assert stdlib.loads(changed) == live.User([old.User("Ada"), live.Color.RED, len, 1])
        modules.remove("old")


def test_texts_that_a_first_decode_interned_do_not_matter(modules: Any, gone: Any) -> None:
    """Unpickling interns the names of attributes: the second decode has other objects than the first."""
    live = modules.add("live", "class Open: pass")
    old = modules.add("old", "class User: pass")
    value = live.Open()
    name = "an_attribute"
    setattr(value, name, 1)
    body = stdlib.dumps([name, value, old.User()], 5).replace(b"an_attribute", b"no_code_has_")
    body = pickletools.optimize(body)  # which is not what is written anew
    modules.remove("old")
    assert again(gone(body), 5) == body


def test_names_of_python_2_are_written_at_later_protocols_as_python_3_has_them(gone: Any) -> None:
    body = b"\x80\x02cConfigParser\nGoneParser\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00aq\x03K\x01sb."
    found = gone(body)
    assert found.class_name == "configparser.GoneParser"
    assert again(found, 2) == body
    assert b"configparser" in again(found, 5) and b"ConfigParser" not in again(found, 5)


def test_body_of_another_protocol_is_written_at_the_one_asked_for(modules: Any, gone: Any, source: str) -> None:
    body = modules.pickled("old", "User('Ada')", 5, source)
    for protocol in (2, 3, 4):
        written = again(gone(body), protocol)
        assert written[:2] == bytes([0x80, protocol]) and again(gone(written), protocol) == written
    assert not again(gone(body), 0).startswith(b"\x80")


def test_placeholders_of_two_records_in_one_value(modules: Any, gone: Any, source: str) -> None:
    first = gone(modules.pickled("old", "User('Ada')", 5, source))
    second = gone(modules.pickled("old", "[Row('a'), User('Bob'), User]", 2, source))
    one, two, three = type(first), type(second[1]), second[2]
    assert one == two == three and one is not two and len({one, two, three}) == 1
    body = again([first, second, first], 4)
    old = modules.add("old", source)
    ada, rest, also = stdlib.loads(body)
    assert (ada, rest) == (old.User("Ada"), [old.Row("a"), old.User("Bob"), old.User]) and also is ada


def test_part_of_a_value_is_written_without_the_rest(modules: Any, gone: Any, source: str) -> None:
    value = gone(modules.pickled("old", "[User('Ada'), 'secret']", 5, source))
    assert b"secret" not in again(value[0], 5)


def test_class_that_is_back_is_loaded_again(modules: Any, gone: Any, source: str) -> None:
    body = modules.pickled("old", "[User('Ada')]", 5, source)
    value = gone(body)
    old = modules.add("old", source)
    assert stdlib.loads(again(value, 5)) == gone(body) == [old.User("Ada")]


def test_renamed_class_is_no_placeholder_and_a_missing_target_is_one(modules: Any, gone: Any, source: str) -> None:
    body = modules.pickled("old", "[User('Ada'), Outer.Inner('Bob')]", 5, source)
    new = modules.add("new", source)
    ada, bob = gone(body, {"old.User": "new.User", "old.Outer": "new.Nothing"})
    assert ada == new.User("Ada") and isinstance(bob, store.Placeholder)
    assert again([bob], 5).count(b"old") == 1  # where it is found again with the same renames


def test_partial_of_a_function_that_is_gone(modules: Any, gone: Any, source: str) -> None:
    old = modules.add("old", source)
    body = stdlib.dumps(functools.partial(old.shout, "a"), 5)
    modules.remove("old")
    found = gone(body)
    assert again(found, 5) == body


@pytest.mark.slow
def test_threads_decode_and_encode_at_once(modules: Any, source: str) -> None:
    bodies = [modules.pickled("old", text, 5, source) for text in ("User('Ada')", "[Row('a'), User]", "Row([User(1)])")]
    lookup, wrong = Lookup(placeholders=True), []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait(20)
        for _ in range(30):
            wrong.extend(body for body in bodies if again(pickle.codec.decode(body, lookup=lookup), 5) != body)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


class Gone:
    """Moved under another name while it is written, so that a reader does not find it."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __reduce_ex__(self, protocol: int) -> Any:
        return (Gone, (self.held,)) if protocol % 2 else super().__reduce_ex__(protocol)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
nested = st.recursive(
    leaves | st.builds(Gone, leaves),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.sets(leaves, max_size=4)
        | st.builds(Gone, inner)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(value=nested, protocol=st.integers(0, 5))
@pytest.mark.slow
def test_any_value_with_placeholders_is_written_byte_for_byte(value: Any, protocol: int) -> None:
    Gone.__module__, home = "nowhere_at_all", Gone.__module__
    module = type(stdlib)("nowhere_at_all")
    module.Gone = Gone  # type: ignore[attr-defined]
    sys.modules["nowhere_at_all"] = module
    try:
        body = stdlib.dumps([value, Gone(1)], protocol)
    finally:
        del sys.modules["nowhere_at_all"]
        Gone.__module__ = home
    found = pickle.codec.decode(body, lookup=Lookup(placeholders=True))
    assert isinstance(found[1], store.Placeholder)
    assert again(found, protocol) == body
    found.append(0)
    assert again(found, protocol) != body


def test_value_that_cannot_be_written_beside_a_placeholder_is_told(modules: Any, gone: Any, source: str) -> None:
    value = gone(modules.pickled("old", "[User('Ada')]", 5, source))
    value.append(lambda: None)
    with pytest.raises(NotSerializable, match="lambda"):
        again(value, 5)


def test_bytes_that_are_cut_are_corrupt_with_placeholders_too(modules: Any, gone: Any, source: str) -> None:
    body = modules.pickled("old", "[User('Ada')]", 5, source)
    for length in range(len(body)):
        with pytest.raises(Corrupt):
            gone(body[:length])


SETTER = """
    def setter(made, state): vars(made).update(state)
    class Own:
        def __reduce__(self): return Own, (), {"a": 1}, None, None, setter
    class Pair:
        def __init__(self, *parts): self.parts = parts
        def __reduce__(self): return Pair, self.parts
"""


def test_state_that_a_function_gave_which_is_gone_is_not_lost(modules: Any, gone: Any) -> None:
    body = modules.pickled("old", "[Own()]", 5, SETTER)
    found = gone(body)
    assert again(found, 5) == body
    found.append(1)
    with pytest.raises(NotSerializable, match=r"old\.setter gave .*would be lost"):
        again(found, 5)


def test_object_of_two_parts_may_be_taken_out_of_a_value(modules: Any, gone: Any) -> None:
    found = gone(modules.pickled("old", "[Pair([1], 2), Pair(Pair([3], 4), 5)]", 5, SETTER))
    found[1] = found[1].args[0]
    body = again(found, 5)
    modules.add("old", SETTER)
    assert [pair.parts for pair in stdlib.loads(body)] == [([1], 2), ([3], 4)]
