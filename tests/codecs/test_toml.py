"""The codec toml: text that people read, and what a check of its cost may not mistake."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

pytest.importorskip("tomli_w", reason="the codec toml needs tomli-w: pip install tomli-w")

from store.codecs import toml as module
from store.codecs.toml import codec
from store.errors import Corrupt, NotSerializable


def test_text_is_what_a_person_would_write() -> None:
    value = {"server": {"ports": [80, 443]}, "name": "Ä"}
    body = codec.encode(value, 1)
    assert str(body, "utf-8") == 'name = "Ä"\n\n[server]\nports = [\n    80,\n    443,\n]\n'
    assert list(codec.decode(body)) == ["name", "server"]  # tables come last
    assert codec.encode(codec.decode(body), 1) == body  # and stay there: nothing has changed


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "one. " * 500 + '"', "a = '" + "b." * 500 + "'", 'a = """' + '"". \\"' * 500 + '"""', "a = '''" + "''. " * 500 + "'''",
        "a = 1 # " + "b." * 500, "a = [" + "1.5, " * 500 + "]", "a = 1" + "\n" + ".".join("b" * 64) + " = 2",
        'a = """x""""' + "\nb = '" + "c." * 500 + "'", 'a = """\\\\""" # \'' + "\nb = 1.5", 'a = "\\\\" # ' + "b." * 500,
    ],
)  # fmt: skip
def test_dots_that_are_in_no_long_key_are_fine(text: str) -> None:
    assert codec.decode_restricted(text.encode(), allow={}) == tomllib.loads(text)


LONG = ".".join(["a"] * 70) + " = 1"


@pytest.mark.parametrize(
    "before",
    ["", "b = '\"'\n", 'b = "\'"\n', 'b = """ " """\n', "b = ''' ' '''\n", 'b = "\\""\n', "b = '\\'\n", "# \"\n", "# '''\n", 'b = """"x""""" # "\n',
     "b = '''''x'''''\n", 'b = """\\""""\n', "b = [ # '\n1]\n", '"b\'" = 1\n', "b = \"\"\nc = ''\n"],
)  # fmt: skip
def test_long_key_is_found_behind_quotes(before: str) -> None:
    assert tomllib.loads(before + LONG)
    with pytest.raises(Corrupt, match="keys of more than 64 dots"):
        codec.decode_restricted((before + LONG).encode(), allow={})
    for spelling in (LONG.replace(".", " .\t"), LONG.replace("a", "'a'"), LONG.replace("a", '"a"'), f"c = {{{LONG}}}", f"[{LONG[:-4]}]"):
        with pytest.raises(Corrupt, match="keys of more than 64 dots"):
            codec.decode_restricted((before + spelling).encode(), allow={})


def test_many_keys_with_dots_may_take_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"".join(b"a%d.b.c.d.e.f = 1\n" % number for number in range(100))
    assert len(codec.decode_restricted(body, allow={})) == 100
    monkeypatch.setattr(module, "BASE_BYTES", 0)
    with pytest.raises(Corrupt, match="dotted keys would take more memory"):
        codec.decode_restricted(body, allow={})


def test_value_that_the_writer_gets_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.tomli_w, "dumps", lambda value: "a = 1.0\n")
    with pytest.raises(NotSerializable, match="would not round-trip through TOML"):
        codec.encode({"a": 1}, 1)


def test_deep_tables_of_ones_own_are_read() -> None:
    value: dict[str, Any] = {}
    for _ in range(200):
        value = {"a": value}
    assert codec.decode(codec.encode(value, 1)) == value
