"""Random and mutated pickles against the restricted decoder.

    python tests/fuzz/fuzz.py --count 2000000 --seed 7

Whatever the bytes are: only `Untrusted`, `Corrupt` and `EOFError` leave the decoder, nothing of the system is
touched (an audit hook watches), and where a value comes back from a program that names no global, the standard
library finds the same one.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import pickle
import pickletools
import random
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from mutating import mutate

from store.codecs import pickle as restricted
from store.errors import Corrupt, Untrusted

SEEDS: list[Any] = [
    None, True, 0, -1, 2**70, 1.5, "text", "é" * 300, b"bytes", bytearray(b"array"), (), (1,), (1, (2, (3,))),
    [1, [2, {"a": {1, 2}}]], frozenset({1, "a"}), {"k": [1.5, None]}, 1 + 2j, range(3), slice(1, 2), len, ValueError("x"),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC), datetime.timedelta(1), decimal.Decimal("1.5"),
    fractions.Fraction(1, 3), uuid.UUID(int=5), collections.OrderedDict(a=1), collections.Counter("aab"),
    collections.deque([1], 3), collections.defaultdict(list, a=[1]), [{"id": n, "tags": ["x"] * n} for n in range(5)],
]  # fmt: skip
try:
    import numpy
except ImportError:
    pass
else:
    SEEDS += [
        numpy.arange(3), numpy.float32(1.5), numpy.zeros((2, 2), ">i2", order="F"), numpy.array(["a"]), numpy.ones(2, "?"),
        numpy.zeros(2, [("a", "i1"), ("b", "f8", (2,))]), numpy.array(["2024"], "M8[D]"), numpy.dtype("f8"), {numpy.int8(1): 2},
    ]  # fmt: skip
STREAMS = [pickle.dumps(value, protocol) for value in SEEDS for protocol in range(6)]
OPCODES = [ord(opcode.code) for opcode in pickletools.opcodes]
NAMES = [b"cos\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ccollections\nCounter\n", b"cdatetime\ndate\n",
         b"cbuiltins\nset\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.numeric\n_frombuffer\n", b"ccopyreg\n_reconstructor\n", b"cbuiltins\nlen\n", b"cuuid\nUUID\n"]  # fmt: skip
PIECES = [*NAMES * 6, *(bytes([opcode]) for opcode in OPCODES)]  # about as many of each
# What must never happen, by the names of https://docs.python.org/3/library/audit_events.html
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "exec", "open", "os.mkdir",
             "os.remove", "os.rename", "socket.connect", "socket.bind", "ctypes.dlopen", "builtins.input")  # fmt: skip


@dataclass
class Report:
    """How many programs were run, and what became of them."""

    programs: int = 0
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_seconds: float = 0.0


class Watch:
    """Notes forbidden events of the interpreter; a hook cannot be removed again, so it is switched."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event in FORBIDDEN:
            self.seen.append(f"{event}{args!r}"[:200])
            raise RuntimeError(f"forbidden: {event}")


def program(rng: random.Random) -> bytes:
    """One stream: a mutated valid one, two spliced, or opcodes at random."""
    kind = rng.randrange(4)
    if kind == 0:
        return random_opcodes(rng)
    body = bytearray(rng.choice(STREAMS))
    if kind == 1:
        other = rng.choice(STREAMS)
        body[rng.randrange(len(body)) :] = other[rng.randrange(len(other)) :]
    for _ in range(rng.randrange(1, 6)):
        mutate(rng, body, PIECES)
    return bytes(body)


def random_opcodes(rng: random.Random) -> bytes:
    """Opcodes with arguments that fit more often than not."""
    parts = [b"\x80" + bytes([rng.randrange(6)])] if rng.random() < 0.7 else []
    for _ in range(rng.randrange(1, 25)):
        choice = rng.randrange(10)
        if choice < 4:
            parts.append(rng.choice([b"N", b"K\x01", b"]", b"}", b")", b"\x8f", b"(", b"\x8c\x01a", b"C\x01b", b"J\1\0\0\0"]))
        elif choice < 5:
            parts.append(rng.choice(NAMES))
        elif choice < 9:
            parts.append(bytes([rng.choice(OPCODES)]))
        else:
            parts.append(rng.randbytes(rng.randrange(1, 9)))
    return b"".join(parts) + (b"." if rng.random() < 0.9 else b"")


def run(count: int, seed: int) -> Report:
    """Runs so many programs. Raises: AssertionError: naming the program that broke a rule."""
    rng, report, watch = random.Random(seed), Report(), Watch()
    for body in STREAMS:  # so that what is imported late is imported now
        restricted.loads(body)
    for _ in range(count):
        body = program(rng)
        started = time.perf_counter()
        watch.on = True
        try:
            value = restricted.loads(body)
        except (Untrusted, Corrupt, EOFError) as exc:
            outcome = "EOFError" if isinstance(exc, EOFError) else type(exc).__name__
        except BaseException as exc:
            raise AssertionError(f"seed {seed}: {body!r} let {type(exc).__name__} out: {exc}") from exc
        else:
            outcome = "value"
        finally:
            watch.on = False
        assert not watch.seen, f"seed {seed}: {body!r} did {watch.seen}"
        if outcome == "value" and not names_a_global(body):
            agree(body, value, seed)
        report.programs += 1
        report.outcomes[outcome] += 1
        report.slowest_seconds = max(report.slowest_seconds, time.perf_counter() - started)
    return report


def names_a_global(body: bytes) -> bool:
    """Whether the stdlib might do more with the bytes than make plain data: then it is not asked."""
    return any(code in body for code in b"c\x93\x82\x83\x84iRo\x81\x92b")


def agree(body: bytes, value: Any, seed: int) -> None:
    try:
        expected = pickle._loads(body)  # the one in Python: a memo index can make the one in C take gigabytes
    except Exception as exc:
        raise AssertionError(f"seed {seed}: {body!r} is {value!r} here, and {exc!r} to the stdlib") from exc
    same = repr(expected) == repr(value) or expected == value
    assert same, f"seed {seed}: {body!r} is {expected!r} to the stdlib and {value!r} here"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    started = time.perf_counter()
    report = run(options.count, options.seed)
    print(f"seed {options.seed}: {report} in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
