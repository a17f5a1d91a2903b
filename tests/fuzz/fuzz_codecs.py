"""Random and mutated bodies against the codecs of plain data, as records of somebody else.

    python tests/fuzz/fuzz_codecs.py --count 200000 --seed 7

Whatever the bytes are: only `Untrusted` and `Corrupt` leave a codec, by `decode_restricted` and not at all by `describe`.
"""

from __future__ import annotations

import argparse
import collections
import random
import time
from collections.abc import Iterator
from datetime import date, datetime
from importlib.util import find_spec
from typing import Any

from mutating import mutate

from store.codecs import codecs
from store.errors import Corrupt, Untrusted

LIBRARIES = {
    "json": "json",
    "yaml": "yaml",
    "toml": "tomli_w",
    "msgpack": "msgpack",
    "avro": "fastavro",
    "protobuf": "google",
}
NAMES = [name for name, library in LIBRARIES.items() if find_spec(library) is not None]
PIECES = [b"[", b"]", b"{", b"}", b'"', b"'", b"\\", b":", b",", b"\n", b"- ", b"? ", b"&a", b"*a", b"!!python/name:os.system",
          b"!!set", b"=", b"a.b", b"[[a]]", b'"""', b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\x00\xff\xff\xff", b"\xc7\xff\x01",
          b"\xff", b"\x80", b"9" * 40, b"1e999", b"NaN", b"\\ud800", b"1:1:1", b"%YAML 9.9\n", b"\x00", b"0x", b"2024-13-01"]  # fmt: skip


def values(codec: str) -> Iterator[Any]:
    """Values that it holds."""
    if codec == "protobuf":
        from google.protobuf import struct_pb2, timestamp_pb2

        made = struct_pb2.Struct()
        made.update({"a": [1, None, {"b": "c"}], "d": True})
        yield from (made, timestamp_pb2.Timestamp(seconds=5), struct_pb2.Value(string_value="x"))
        return
    plain: dict[str, Any] = {"a": 1, "b": [1.5, "text", True], "c": {"d": {"e": "é" * 50}}, "f": [-(2**40)]}
    yield plain
    yield {str(index): [index] * 3 for index in range(30)}
    if codec in ("yaml", "toml", "msgpack"):
        yield {"moment": datetime(2024, 1, 2, 3, 4, 5), "day": date(2024, 1, 2)}
    if codec in ("yaml", "msgpack"):
        yield {1: b"\xff" * 40, 2: None, "n": 2**80}
    if codec != "toml":
        yield [None, [[], {}, [[1]]], "x" * 300]


def bodies() -> dict[str, list[bytes]]:
    return {name: [codecs.load(name).encode(value, 1) for value in values(name)] for name in NAMES}


def run(count: int, seed: int) -> collections.Counter[str]:
    """What came of so many bodies. Raises: AssertionError: naming the one that broke a rule."""
    rng, sound, outcomes = random.Random(seed), bodies(), collections.Counter[str]()
    for index in range(count):
        name = NAMES[index % len(NAMES)]
        body = bytearray(rng.choice(sound[name]))
        for _ in range(rng.randrange(1, 7)):
            mutate(rng, body, PIECES)
        outcomes[f"{name} {outcome_of(name, bytes(body), seed)}"] += 1
    return outcomes


def outcome_of(name: str, body: bytes, seed: int) -> str:
    codec = codecs.load(name)
    outcome = "value"
    try:
        codec.decode_restricted(body, allow={})
    except (Corrupt, Untrusted) as exc:
        outcome = type(exc).__name__
    except BaseException as exc:
        raise AssertionError(f"seed {seed}: {name} let {type(exc).__name__} out of {body!r}: {exc}") from exc
    if len(body) % 8 == 0:
        try:
            problem = codec.describe(body)[2]
        except BaseException as exc:
            raise AssertionError(f"seed {seed}: {name} describes {body!r} with {type(exc).__name__}: {exc}") from exc
        assert (problem is None) == (outcome == "value") or name == "protobuf", (
            f"seed {seed}: {name} {body!r}: {problem}"
        )
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    started = time.perf_counter()
    outcomes = run(options.count, options.seed)
    print(
        f"seed {options.seed}: bodies={outcomes.total()} {dict(sorted(outcomes.items()))} in {time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
