"""What `loads` refuses by default, and what passes without configuration."""

from __future__ import annotations

import copyreg
import io
import ipaddress
import os
import pathlib
import pickle as stdlib
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import store
from store.classes import allowlist
from store.codecs import pickle
from store.errors import Corrupt, Untrusted

PROTOCOLS = range(6)


class User:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is User and other.name == self.name

    __hash__ = None  # type: ignore[assignment]

    class Nested:
        """A class in a class."""


class Sneaky:
    """Says that it is a standard type."""


Sneaky.__module__, Sneaky.__qualname__ = "datetime", "datetime.now"


class Calls:
    """Calls a function with arguments when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


READERS: dict[str, Callable[..., Any]] = {
    "loads": pickle.loads,
    "load": lambda data, **options: pickle.load(io.BytesIO(data), **options),
    "Unpickler": lambda data, **options: pickle.Unpickler(io.BytesIO(data), **options).load(),
    "codec": lambda data, allow=(): pickle.codec.decode_restricted(data, allow=allowlist.allowed(allow)),
}


@pytest.mark.parametrize("protocol, reader", [*product(PROTOCOLS, READERS)])
def test_class_is_refused_with_the_line_that_allows_it(protocol: int, reader: str) -> None:
    read = READERS[reader]
    data = stdlib.dumps([User("Alice")], protocol)
    dotted = f"{__name__}.User"
    with pytest.raises(Untrusted) as caught:
        read(data)
    assert caught.value.missing == dotted
    assert repr(dotted) in str(caught.value)
    assert "@store.allow" in str(caught.value)
    assert read(data, allow=[User]) == [User("Alice")]
    assert read(data, allow=[dotted]) == [User("Alice")]
    store.allow(User)
    assert read(data) == [User("Alice")]


def test_nested_class_is_allowed_by_its_dotted_name() -> None:
    data = stdlib.dumps(User.Nested(), 4)
    with pytest.raises(Untrusted) as caught:
        pickle.loads(data, allow=[User])
    assert type(pickle.loads(data, allow=[caught.value.missing])) is User.Nested


def test_allowing_a_class_allows_no_more_than_it() -> None:
    for other in (User.Nested, User.Nested(), Calls(os.getcwd), Sneaky):
        try:
            data = stdlib.dumps(other, 5)
        except stdlib.PicklingError:  # Sneaky: what it claims to be is found nowhere; written by hand
            data = b"\x80\x04\x8c\x08datetime\x8c\x0cdatetime.now\x93."
        with pytest.raises(Untrusted):
            pickle.loads(data, allow=[User])


def payloads(marker: Path) -> dict[str, Any]:
    """How pickles that run code are made: by each opcode that calls, and through functions that look harmless."""
    command = f"touch '{marker}'"
    code = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, command),
        "eval": Calls(eval, f"__import__('os').mkdir({str(marker)!r})"),
        "exec": Calls(exec, code),
        "open": Calls(open, str(marker), "w"),
        "mkdir": [[Calls(os.mkdir, str(marker))]],
        "in a key": {Calls(exec, code): 1},
        "Path.touch": b"cpathlib\nPath.touch\n(cpathlib\nPath\n(V" + str(marker).encode() + b"\ntRtR.",
        "getattr": b"c__builtin__\ngetattr\n(cpathlib\nPath\n(V" + str(marker).encode() + b"\ntRVtouch\ntR(tR.",
        "by its old name": b"c__builtin__\nexecfile\n.",
        "INST": b"(V" + command.encode() + b"\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nV" + command.encode() + b"\no.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c"
        + bytes([len(command.encode())]) + command.encode() + b"\x85R.",
        "dotted": b"\x80\x04\x8c\x0bcollections\x8c\x10_sys.modules.get\x93.",
        "codecs": b"c_codecs\ndecode\n.",
        "a submodule": b"cos\npath.sys.modules\n.",
    }  # fmt: skip


NAMES = list(payloads(Path()))
RUNS = [
    "os.system",
    "eval",
    "exec",
    "mkdir",
    "in a key",
    "Path.touch",
    "getattr",
    "INST",
    "OBJ",
    "STACK_GLOBAL",
]  # those that leave the marker when nothing stops them


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_code_in_a_pickle_does_not_run(tmp_path: Path, name: str, reader: str) -> None:
    marker = tmp_path / "m"
    payload = payloads(marker)[name]
    for protocol in PROTOCOLS if not isinstance(payload, bytes) else [0]:
        data = payload if isinstance(payload, bytes) else stdlib.dumps(payload, protocol)
        with pytest.raises(Untrusted) as caught:
            READERS[reader](data, allow=[User])
        assert caught.value.missing
        assert not marker.exists()


@pytest.mark.parametrize("name", RUNS)
def test_code_in_a_pickle_runs_where_everything_is_trusted(tmp_path: Path, name: str) -> None:
    """The payloads above are sound: what the default refuses really does something."""
    for protocol in PROTOCOLS:
        marker = tmp_path / str(protocol)
        payload = payloads(marker)[name]
        data = payload if isinstance(payload, bytes) else stdlib.dumps(payload, protocol)
        if name == "Path.touch":
            data = b"\x80\x04" + data  # below protocol 4 a dotted name is one attribute
        try:
            pickle.loads(data, trust="all")
        except TypeError as exc:
            assert name == "in a key" or "unhashable" in str(exc)
        assert marker.exists()


def test_extension_codes_ask_as_names_do(tmp_path: Path) -> None:
    """What one loader resolved is kept in a cache that all share, and no `find_class` is asked again."""
    copyreg.add_extension("posix", "mkdir", 0x70_0001)
    try:
        data = stdlib.dumps(Calls(os.mkdir, str(tmp_path / "marker")), 2)
        assert b"mkdir" not in data
        pickle.loads(data, trust="all")
        (tmp_path / "marker").rmdir()
        for reader in READERS.values():
            with pytest.raises(Untrusted, match="extension code"):
                reader(data)
            assert not (tmp_path / "marker").exists()
            stdlib.loads(data)
            (tmp_path / "marker").rmdir()
    finally:
        copyreg.remove_extension("posix", "mkdir", 0x70_0001)


def test_no_module_is_imported_for_a_name() -> None:
    assert "antigravity" not in sys.modules
    for data in (b"cantigravity\nfly\n.", b"\x80\x04\x8c\x0bantigravity\x8c\x03fly\x93."):
        with pytest.raises(Untrusted, match=r"antigravity\.fly"):
            pickle.loads(data)
    assert "antigravity" not in sys.modules


def test_encoding_helper_of_old_protocols_encodes_nothing_else() -> None:
    assert pickle.loads(stdlib.dumps(b"\xff\0", 0)) == b"\xff\0"
    for argument in (b"Vrot13\n", b"Vzlib_codec\n", b"Vidna\n", b""):
        with pytest.raises(Corrupt, match="arguments for bytes"):
            pickle.loads(b"c_codecs\nencode\n(Vtext\n" + argument + b"tR.")


def test_message_cuts_a_name_that_goes_on(tmp_path: Path) -> None:
    for length, error in ((900, Untrusted), (100_000, Corrupt)):
        with pytest.raises(error) as caught:
            pickle.loads(b"cmodule\n" + b"n" * length + b"\n.")
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("trust", ["own", "none", None, True, ""], ids=repr)
@pytest.mark.parametrize("reader", ["loads", "load", "Unpickler"])
def test_unknown_trust(reader: str, trust: Any) -> None:
    with pytest.raises(ValueError, match=r'trust is "data" or "all" here, not '):
        READERS[reader](stdlib.dumps(1), trust=trust)


@pytest.mark.parametrize("reader", ["loads", "load", "Unpickler"])
def test_unknown_entry_of_allow(reader: str) -> None:
    for allow, kind in (
        ([5], TypeError),
        ("x.Y", TypeError),
        (["no.such.Class"], ValueError),
        (["os.system"], ValueError),
    ):
        with pytest.raises(kind, match="allow"):
            READERS[reader](stdlib.dumps(1), allow=allow)


STANDARD: list[Any] = [
    None, True, 0, -1, 2**31, 10**40, 1.5, float("inf"), 1j, "text \ud800", b"\0\xff", bytearray(b"\0\xff"),
    (), (1,), (1, 2, 3, 4), [], {}, set(), {"a"}, frozenset({1}), range(1, 9, 2), slice(1, None, 2),
    OrderedDict(b=1, a=2), Counter("aab"), deque([1], maxlen=3), defaultdict(list, a=[1]), defaultdict(int, {1: 2}),
    defaultdict(None, {1: 2}), date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, 4), datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30), "IST")), time(1, 2, 3, 4),
    time(1, tzinfo=UTC),
    timedelta(-1, 2, 3), UTC, timezone(timedelta(hours=-3)), Decimal("1.10"), Decimal("sNaN"), Decimal("-0"),
    Fraction(-1, 3), UUID("12345678-1234-5678-1234-567812345678"),
    pathlib.PurePosixPath("/a/b"), pathlib.PureWindowsPath("c:/a"), pathlib.Path("a/../b"),
    ipaddress.ip_address("1.2.3.4"), ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("fe80::/10"), ipaddress.ip_interface("10.0.0.1/8"), ipaddress.ip_interface("fe80::1/10"),
    len, abs, sorted, int, dict, list, object, ValueError, OSError(2, "no", "file"), KeyError("k"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), ExceptionGroup("g", [ValueError(1)]), KeyboardInterrupt(),
    Decimal, datetime, OrderedDict, UUID, Fraction,
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(STANDARD)), ids=lambda index: repr(STANDARD[index])[:30])
def test_standard_type_needs_no_configuration(index: int) -> None:
    value = STANDARD[index]
    nested = {"in": [value, (value,)]}
    for protocol, reader in product(PROTOCOLS, READERS.values()):
        found = reader(stdlib.dumps(nested, protocol))["in"]
        assert type(found[0]) is type(found[1][0]) is type(value)
        assert repr(found[0]) == repr(value)
        if not isinstance(value, BaseException | Decimal):
            assert found[0] == value
        if isinstance(value, defaultdict):
            assert found[0].default_factory is value.default_factory
        if isinstance(value, deque):
            assert found[0].maxlen == value.maxlen


def test_path_of_python_3_13_needs_no_configuration() -> None:
    for name in ("PurePosixPath", "PosixPath"):
        data = b"cpathlib._local\n" + name.encode() + b"\n(Va\ntR."
        assert pickle.loads(data) == getattr(pathlib, name)("a")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exception_keeps_its_attributes_and_notes(protocol: int) -> None:
    error = OSError(28, "full", "/disk")
    error.add_note("a note")
    found = pickle.loads(stdlib.dumps(error, protocol))
    assert (found.errno, found.filename, found.__notes__) == (28, "/disk", ["a note"])


def test_import_that_a_traceback_would_do_is_dropped() -> None:
    error = pickle.loads(
        b"\x80\x04cbuiltins\nImportError\n\x8c\x01m\x85R}(\x8c\x04name\x8c\x04this\x8c\x09name_from\x8c\x01xub."
    )
    assert (error.name, getattr(error, "name_from", None), vars(error)) == ("this", None, {})


def test_place_of_a_syntax_error_is_kept_in_proportion() -> None:
    sound = SyntaxError("m", ("file", 3, 5, "a = = 1\n", 3, 6))
    assert pickle.loads(stdlib.dumps(sound)).args == sound.args
    found = pickle.loads(stdlib.dumps(SyntaxError("m", ("file", 3, 5, "a", 3, 10**10))))
    assert (found.offset, found.end_offset, found.args[1][5]) == (5, None, None)
    assert stdlib.loads(stdlib.dumps(found)).end_offset is None  # and so it stays when it is stored again


def test_attributes_named_as_methods_are_read_where_they_are_data() -> None:
    made = User.__new__(User)
    vars(made).update(add=1, update=False)
    found = pickle.loads(stdlib.dumps(made), allow=[User])
    assert vars(found) == {"add": 1, "update": False}
