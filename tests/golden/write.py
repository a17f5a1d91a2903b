"""Writes the golden stores of this release: `python tests/golden/write.py`, once for each version of the schema.

They are kept for ever, in a folder that is called by the version, and every later release must open them:
tests/integration/test_golden.py. The key beside them seals nothing else. `expected.json` holds what they hold.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import fractions
import hashlib
import json
import os
import pickle
import random
import shutil
import sys
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
if __name__ == "__main__":  # the tests, which read by what is here, have both
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "samples")]

from golden_classes import Account, Plain, Prefs  # noqa: E402

from store import Store  # noqa: E402
from store.engines.sqlite.schema import SCHEMA_VERSION  # noqa: E402
from store.errors import StoreError  # noqa: E402
from store.opened import opening  # noqa: E402
from store.sessions import Sessions  # noqa: E402
from store.settings import Settings, update  # noqa: E402
from store.trust.keys.ring import NoKeys  # noqa: E402

with contextlib.suppress(ImportError):
    from google.protobuf import wrappers_pb2

KEY = "f1" * 32
FOREIGN_KEY = b"of somebody else"
BEGIN = 1_800_000_000.0  # Unix seconds; a second more for each write
CENTURY = 100 * 365 * 86_400.0  # seconds
SPILL_BYTES = 1000
SHOWN = 200  # characters of a value; of a longer one there is a hash

VALUES: dict[str, Any] = {
    "none": None, "yes": True, "int": 2**70, "float": 0.1, "text": "Grüße\0\n", "bytes": b"\x00\xff", "set": {1},
    "list": [1, [2, (3, None)]], "dict": {"b": 1, "a": {"c": [True]}}, "complex": 1 + 2j, "frozenset": frozenset({"x"}),
    "bytearray": bytearray(b"ab"), "range": range(1, 9, 2),
    "when": datetime.datetime(2027, 1, 15, 8, 0, 1, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "day": datetime.date(2027, 1, 15), "span": datetime.timedelta(days=1, microseconds=1),
    "decimal": decimal.Decimal("1.10"), "fraction": fractions.Fraction(2, 3), "uuid": uuid.UUID(int=7),
    "ordered": collections.OrderedDict(z=1, a=2), "counter": collections.Counter("aab"), "deque": collections.deque([1], 3),
}  # fmt: skip
OF_CODECS: dict[str, Any] = {
    "json": {"a": [1, 2.5, None, "ü"]}, "msgpack": {"a": [1, b"x"]}, "cloudpickle": [1, "two"], "dill": [1, "two"],
    "joblib": {"a": (1, 2)}, "toml": {"a": {"b": [1, 2]}}, "yaml": {"a": [1, None]}, "avro": {"a": 1, "b": "x"},
}  # fmt: skip


class Ticking:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def open_(path: Path, clock: Any = lambda: BEGIN + 1000, **options: Any) -> Store[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*sealed with a key this program does not hold")
        return Store(path, **{"key": path.with_name("key"), "spill_bytes": SPILL_BYTES, "clock": clock, **options})


def write_closed(path: Path) -> None:
    """All kinds of records, and the log folded in by the last close."""
    clock = Ticking()
    with open_(path, clock) as s:
        for name, value in VALUES.items():
            s[name] = value
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            s.put(f"protocol {protocol}", {"protocol": protocol, "kept": [1.5, "x"]}, protocol=protocol)
        for codec, value in OF_CODECS.items():
            s.put(f"codec {codec}", value, codec=codec)
        write_extras(s)
        s["class"], s["versioned class"] = Plain(1, ["two"]), Account("Ann", 12)
        s["spilled body"] = {"text": "x" * 3000}
        s["spilled buffers"] = [pickle.PickleBuffer(bytearray(b"ab" * 1000)), pickle.PickleBuffer(bytearray(b"c" * 1500))]
        s.put("a century", "kept", ttl=CENTURY)
        s["revised"] = 1
        for revision in range(2, 5):
            s["revised"] = revision
        s["deleted"] = 1
        del s["deleted"]
        other = s.within("another namespace ü")
        other.update({"int": 1, "list": [1]})
        with Settings(Prefs, s) as prefs:
            update(prefs, theme="sepia", recent=["a", "b"])
        with Sessions(s, ttl=CENTURY) as sessions:
            (path.with_name("session")).write_text(sessions.create({"user": "ann", "cart": ["tea"]}) + "\n")
    with open_(path, clock, key=FOREIGN_KEY, namespace="foreign") as s:
        s["plain"], s["class"] = {"a": [1, (2, None)]}, Plain(2, [])
    with mock.patch.object(opening, "Keyring", lambda _: NoKeys()), open_(path, clock, namespace="unkeyed") as s:
        s["plain"] = {"a": 1}


def write_extras(s: Store[Any]) -> None:
    import numpy

    s.put("codec numpy", numpy.arange(6, dtype="<i4").reshape(2, 3), codec="numpy")
    s["array"] = {"spilled": numpy.arange(500, dtype="<f8"), "small": numpy.array([1, 2], dtype="<u2")}
    s.put("codec protobuf", wrappers_pb2.Int64Value(value=42), codec="protobuf")


def write_unfolded(path: Path, folder: Path) -> None:
    """Killed before any of it was folded in: copied while it is open."""
    with open_(path, Ticking()) as s:
        s["first"] = {"a": 1}
        s["large"] = ["y" * 2000]
        s.update(first={"a": 2}, third=[3])
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", folder / f"{path.name}{suffix}")
        shutil.copytree(f"{path}-spill", folder / f"{path.name}-spill")


def shown(value: Any) -> str:
    """A value as text, the same on every Python."""
    if isinstance(value, memoryview):
        value = bytes(value)
    elif isinstance(value, collections.OrderedDict):  # since Python 3.12 its repr is another one
        value = list(value.items())
    elif type(value).__module__ == "numpy":
        value = value.dtype.str, value.tolist()
    elif isinstance(value, list):
        value = [bytes(one) if isinstance(one, memoryview) else one for one in value]
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:40]}… {hashlib.sha256(text.encode()).hexdigest()}"


def found_in(path: Path, **options: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """What a store holds: namespace → name → its metadata and value, or the error that reading it raises."""
    with open_(path, **options) as s:
        within = {namespace: s.within(namespace) for namespace in s.namespaces()}
        return {namespace: {name: found(one, one.record(name)) for name in one} for namespace, one in within.items()}


def found(s: Store[Any], record: Any) -> dict[str, Any]:
    facts = {field: getattr(record, field) for field in record.__slots__ if field not in ("namespace", "name", "version")}
    facts["id"] = s.opened.find(record.name).id
    facts = {field: value.isoformat() if isinstance(value, datetime.datetime) else value for field, value in facts.items()}
    try:
        value = s[record.name]
    except StoreError as exc:
        return {**facts, "error": type(exc).__name__}
    if record.name == "array":
        value = {name: shown(array) for name, array in value.items()}
    return {**facts, "value": shown(value)}


def main() -> None:
    folder = HERE / str(SCHEMA_VERSION)
    folder.mkdir()  # what is there stays as it was written
    numbers = random.Random(1)
    with tempfile.TemporaryDirectory() as place, mock.patch.object(os, "urandom", numbers.randbytes):
        work = Path(place)
        (work / "key").write_text(KEY + "\n")
        write_closed(work / "closed.store")
        write_unfolded(work / "unfolded.store", folder)
        for path in work.glob("closed.store*"):
            if path.is_dir():
                shutil.copytree(path, folder / path.name)
            elif path.suffix not in (".lock", ".changes"):
                shutil.copyfile(path, folder / path.name)
        for name in ("key", "session"):
            shutil.copyfile(work / name, folder / name)
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "copy")
        held = {path.name: found_in(path) for path in sorted(copy.glob("*.store"))}
    (folder / "expected.json").write_text(legible(held), encoding="utf-8")


def legible(held: dict[str, dict[str, dict[str, Any]]]) -> str:
    """JSON of a line for each record."""

    def block(pairs: dict[str, Any], depth: int) -> str:
        if depth == 3:
            return json.dumps(pairs, ensure_ascii=False)
        lines = [f"{json.dumps(name, ensure_ascii=False)}: {block(one, depth + 1)}" for name, one in pairs.items()]
        return "{\n" + ",\n".join(lines) + "\n}"

    return block(held, 0) + "\n"


if __name__ == "__main__":
    main()
