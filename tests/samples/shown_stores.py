"""Stores to look at: one of every kind of value, one that attacks the pages, a large one, and one for pictures. All are files.

    python shown_stores.py kinds|hostile|large|shop PATH      makes one, to try by hand with STORE_KEY="the key of shown stores"
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import sqlite3
import struct
import sys
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import page_attacks
import planted_names

from store import Store

OWN, OTHER = b"the key of shown stores", b"the key of somebody else, as long"
LARGE = 100_000
DAY = 86_400

Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@dataclasses.dataclass
class Order:
    number: int
    lines: list[str]
    paid: bool = False


@dataclasses.dataclass
class Preferences:
    """Settings of each kind of field, for a form: `--settings shown_stores:Preferences`."""

    theme: Literal["light", "dark", "auto"] = "auto"
    font_size: int = 14
    ratio: float = 1.5
    notify: bool = True
    title: str = "A shop"
    tags: list[str] = dataclasses.field(default_factory=list)


class Visitor:
    def __init__(self, name: str, seen: datetime.datetime) -> None:
        self.name = name
        self.seen = seen


def _plain() -> dict[str, Any]:
    moment = datetime.datetime(2026, 2, 28, 12, 30, tzinfo=datetime.UTC)
    return {
        "json": {"name": "Alice", "tags": ["a", "b"], "address": {"city": "Ghent", "zip": 9000}, "active": True, "note": None},
        "list": list(range(12)), "tuple": (1, "two", 3.0), "set": {1, 2, 3}, "empty": {}, "none": None,
        "long list": list(range(3000)), "deep": _nested(60), "rows": [{"id": i, "price": i * 1.5, "sold": i % 2 == 0} for i in range(20)],
        "str": "hello", "long text": "The quick brown fox jumps over the lazy dog.\n" * 200, "one word": "x" * 5000, "漢字/é/🙂": "unicode",
        "int": 42, "large int": 10**300, "float": math.pi, "bool": True, "bytes": bytes(range(256)),
        "datetime": moment, "date": moment.date(), "timedelta": datetime.timedelta(hours=3), "decimal": decimal.Decimal("19.99"),
        "uuid": uuid.UUID(int=2**100), "path": pathlib.PurePosixPath("/srv/data/x.bin"), "enum": Colour.GREEN, "namedtuple": Point(1, 2),
        "dataclass": Order(7, ["tea", "milk"]), "instance": Visitor("Ann", moment), "png": png(96, 64), "text with <tags> & \"quotes\"": "<b>bold</b>",
    }  # fmt: skip


def _nested(depth: int) -> Any:
    made: Any = "bottom"
    for level in range(depth):
        made = {"level": level, "inner": made}
    return made


def _arrays() -> dict[str, Any]:
    import numpy
    import pandas

    ramp = numpy.linspace(0, 4 * math.pi, 400)
    grid = numpy.sin(ramp[:60, None]) * numpy.cos(ramp[None, :90])
    return {
        "array 1-D": numpy.sin(ramp), "array 2-D": grid, "array 3-D": numpy.zeros((3, 4, 5)), "array of int": numpy.arange(10),
        "array of bool": numpy.eye(12, dtype=bool), "array spilled": numpy.ones((600, 600)),
        "frame": pandas.DataFrame({"day": pandas.date_range("2026-01-01", periods=40), "sales": range(40), "shop": ["A", "B"] * 20}),
        "series": pandas.Series(range(30), name="count"),
    }  # fmt: skip


def png(width: int, height: int) -> bytes:
    """An image of a few colours."""
    lines = b"".join(
        b"\0" + b"".join(bytes((8 * x // width * 32, 4 * y // height * 64, 160)) for x in range(width)) for y in range(height)
    )
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    made = [struct.pack(">I", len(it)) + kind + it + struct.pack(">I", zlib.crc32(kind + it)) for kind, it in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def kinds(path: Path) -> None:
    """A store of every kind of value: own and foreign, whole and damaged, with and without a lifetime, in namespaces."""
    with Store[Any](path, key=OTHER) as s:
        s.update({"foreign dict": {"from": "elsewhere"}, "foreign instance": Order(1, [])})
    with Store[Any](path, key=OWN, mode="c") as s:
        s.update({**_plain(), **_arrays()})
        for number, seconds in enumerate((3000, 7200, 3 * DAY, 90 * DAY)):
            s.put(f"session:{number}", {"user": number}, ttl=seconds)
        for codec in ("json", "yaml", "toml", "msgpack"):
            s.put(f"in {codec}", {"a": 1, "b": [1.5, "x"]}, codec=codec)
        s.update({"tampered": "as it was sealed", "cut": "x" * 100, "of no known codec": 1, "of the future": 1})
        s["spilled and cut"] = bytes(2**21)
        s.within("settings").update(theme="dark", font_size=16, tags=["new"])
        s.within("carts").update({f"cart:{number}": {"items": number % 5} for number in range(120)})
        s.within("").put("expired", 1, ttl=0.001)
    _damage(path)


def _damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET expires = created + 9e6 WHERE name = 'tampered'")
        conn.execute("UPDATE records SET body = substr(body, 1, 20) WHERE name = 'cut'")
        conn.execute("UPDATE records SET modified = 9e99 WHERE name = 'of the future'")
        conn.execute("UPDATE records SET codec = 'unknown' WHERE name = 'of no known codec'")
        conn.commit()
    written_last = max(Path(f"{path}-spill").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    written_last.write_bytes(written_last.read_bytes()[:100])


def hostile(path: Path, trap: str) -> None:
    """A store whose names, namespaces, values, classes, types, codecs and settings are each an attack."""
    texts = [page_attacks.written(number, trap) for number in range(len(page_attacks.ATTACKS))]
    for key, kind in ((OTHER, "foreign"), (OWN, "own")):
        with Store[Any](path, key=key, mode="c") as s:
            planted_names.plant(s, {f"{text} {kind}": _value(text) for text in texts}, "values")
            planted_names.plant(s, {f"{text} {kind} altered": _value(text) for text in texts}, "altered")
    with Store[Any](path, key=OWN, mode="c") as s:
        for text in texts:
            planted_names.plant(s, {text: text}, text)
            planted_names.plant(s, {text: text}, "settings")
        with _instances(texts) as made:
            planted_names.plant(s, {f"{text} class": it for text, it in zip(texts, made, strict=True)}, "classes")
    _alter(path, texts)


def _value(text: str) -> Any:
    return {text: [text, (text, text.encode()), {text: None}], "rows": [{text: text}, {text: 1}], "bytes": text.encode()}


@contextmanager
def _instances(texts: list[str]) -> Iterator[list[Any]]:
    """Instances of classes of those names, in a module that is gone when they are read."""
    module = sys.modules["gone"] = ModuleType("gone")
    made = []
    for text in texts:
        name = text.replace(".", "\u2024")  # a point would divide the name
        setattr(module, name, type(name, (), {"__module__": "gone", "__qualname__": name}))
        made.append(getattr(module, name)())
        made[-1].__dict__[text] = text
    try:
        yield made
    finally:
        del sys.modules["gone"]


def _alter(path: Path, texts: list[str]) -> None:
    """Columns that anybody who can write the file can set."""
    with closing(sqlite3.connect(path)) as conn:
        rows = conn.execute("SELECT id FROM records WHERE namespace = 'altered' ORDER BY id").fetchall()
        for number, (row,) in enumerate(rows):
            text = texts[number % len(texts)]
            column = ("type", "python", "codec", "body", "type")[number % 5]
            conn.execute(f"UPDATE records SET {column} = ? WHERE id = ?", (text.encode() if column == "body" else text, row))
        conn.commit()


def large(path: Path) -> None:
    """100,000 records."""
    with Store[Any](path, key=OWN, durability="normal") as s, s.transaction():
        s.update({f"item:{number:06}": {"number": number, "text": "x" * (number % 50)} for number in range(LARGE)})


def shop(path: Path) -> None:
    """A store as a program might keep it, for pictures."""
    import numpy
    import pandas

    steps = numpy.arange(240)
    east, north = numpy.meshgrid(numpy.linspace(-3, 3, 80), numpy.linspace(-2, 2, 48))
    with Store[Any](path, key=OTHER) as s:
        s.update({"partner/prices": {"tea": 3.5, "milk": 1.2}, "partner/order": Order(12, ["tea"])})
    with Store[Any](path, key=OWN, mode="c") as s:
        s.update({
            "catalogue": [{"id": i, "name": name, "price": price} for i, (name, price) in enumerate(GOODS.items())],
            "footfall": numpy.exp(-((east - 1) ** 2) - north**2) + 0.7 * numpy.exp(-((east + 1.3) ** 2) - (north - 0.4) ** 2),
            "visitors": 40 + 25 * numpy.sin(steps / 12) + 6 * numpy.cos(steps / 1.7), "order/1041": Order(1041, ["tea", "rice"], True),
            "order/1042": Order(1042, ["coffee"]), "logo": png(96, 64), "visits": 18_233,
            "sales": pandas.DataFrame({"day": pandas.date_range("2026-01-01", periods=31), "sold": range(31)}), "total": decimal.Decimal("1880.50"),
        })  # fmt: skip
        s.put("session/4f2a", {"user": "ann", "cart": ["tea"]}, ttl=1500)
        s.put("session/9c01", {"user": "bob", "cart": []}, ttl=5 * 3600)
        s["tampered"] = 1
        s.within("settings").update(theme="dark", font_size=16, tags=["new"])
        s.within("carts").update({f"cart:{number}": {"items": list(range(number % 9))} for number in range(120)})
        for number in range(60):
            s.within("cache").put(f"page/{number}", "<h1>Tea</h1>" * (number + 1), ttl=60 * 1.16**number)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET body = X'80054B022E' WHERE name = 'tampered'")
        conn.commit()


GOODS = {"tea": 3.5, "coffee": 4.2, "rice": 2.1, "milk": 1.2, "bread": 2.8, "cocoa": 3.9}
MAKERS: dict[str, Callable[..., None]] = {"kinds": kinds, "hostile": hostile, "large": large, "shop": shop}


def make(kind: str, path: Path, *options: str) -> None:
    """Makes one of them; that it has records of others is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*sealed with a key")
        MAKERS[kind](path, *options)


if __name__ == "__main__":
    import shown_stores  # so that the classes of its values are not those of the main program

    shown_stores.make(sys.argv[1], Path(sys.argv[2]), *(["http://127.0.0.1:9"] if sys.argv[1] == "hostile" else []))
