"""The codec yaml: text that people read, and one value whichever of PyYAML's parsers and writers there is."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

yaml = pytest.importorskip("yaml", reason="the codec yaml needs PyYAML: pip install pyyaml")

from store.codecs.plain import same  # noqa: E402
from store.codecs.yaml import codec as module  # noqa: E402
from store.codecs.yaml.codec import codec  # noqa: E402
from store.errors import Corrupt, NotSerializable  # noqa: E402

text = st.text() | st.lists(st.sampled_from([*"ab1: -#'\"\n\t\r\x85\u2028\ufeff\\?|>!&*%@,[]{}😀"])).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text | st.binary() | st.dates()
    | st.datetimes().map(lambda moment: moment.replace(fold=0)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4) | st.sets(text, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyYAML is where libyaml was not there to build it with."""
    monkeypatch.setattr(module, "FAST_LOADER", yaml.SafeLoader)
    monkeypatch.setattr(module, "FAST_DUMPER", yaml.SafeDumper)


@given(value=values)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_round_trip_without_libyaml(in_python: None, value: Any) -> None:
    assert same(codec.decode(codec.encode(value, 1)), value)


@given(value=values)
@settings(max_examples=50, deadline=None)
def test_what_python_writes_libyaml_reads(value: Any) -> None:
    if not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FAST_DUMPER", yaml.SafeDumper)
        body = codec.encode(value, 1)
    assert same(codec.decode(body), value)
    assert same(codec.decode_restricted(body, allow={}), value)


@given(value=values)
@settings(max_examples=50, deadline=None)
@pytest.mark.slow
def test_safe_load_of_pyyaml_gives_the_same_value(value: Any) -> None:
    body = codec.encode(value, 1)
    assert same(yaml.safe_load(body), value)


def test_text_is_what_a_person_would_write() -> None:
    value = {"name": "Ängström", "notes": "one\ntwo\n", "ports": [80, 443], "since": date(2024, 1, 1), "on": "yes", "none": None, "tags": {"b", "a"}}
    assert str(codec.encode(value, 1), "utf-8") == (
        "name: Ängström\nnotes: |\n  one\n  two\nports:\n- 80\n- 443\nsince: 2024-01-01\n'on': 'yes'\nnone: null\ntags: !!set\n  a: null\n  b: null\n"
    )


def test_unusual_characters_are_escaped_and_nothing_else_is_quoted() -> None:
    assert str(codec.encode({"a": "x", "b": "\x85", "c": "y\n"}, 1), "utf-8") == 'a: x\nb: "\\N"\nc: |\n  y\n'


def test_text_of_a_person_is_read() -> None:
    body = b"# settings\n\na: [1, 0x10, 1_000, {b: ~}]\nc: >\n  one\n  two\n'd': !!str 5\n? e\n: !!binary aGk=\n...\n"
    expected = {"a": [1, 16, 1000, {"b": None}], "c": "one two\n", "d": "5", "e": b"hi"}
    assert same(codec.decode(body), expected)
    assert same(codec.decode_restricted(body, allow={}), expected)


def test_what_two_places_share_is_written_twice() -> None:
    shared = [1]
    body = codec.encode([shared, shared], 1)
    assert b"&" not in body
    one, other = codec.decode(body)
    assert one == other == [1]
    assert one is not other


def test_sets_are_written_in_one_order() -> None:
    names = [f"name {number}" for number in range(50)]
    one = codec.encode(set(names), 1)
    names.reverse()
    assert codec.encode(set(names), 1) == one


def test_anchor_is_refused_even_without_an_alias() -> None:
    for decode in (codec.decode, lambda body: codec.decode_restricted(body, allow={})):
        with pytest.raises(Corrupt, match="an anchor or an alias, 'a'"):
            decode(b"- &a 1\n")


def test_nesting_is_bounded_lower_with_restraint() -> None:
    body = b"[" * 300 + b"]" * 300
    codec.decode(body)
    with pytest.raises(Corrupt, match="more than 200 deep"):
        codec.decode_restricted(body, allow={})


def test_value_that_no_style_brings_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "same", lambda one, other: False)
    with pytest.raises(NotSerializable, match="would not round-trip through YAML"):
        codec.encode("x", 1)
