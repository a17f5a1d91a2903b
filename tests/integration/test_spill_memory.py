"""What a large value takes of memory beside itself, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TIMEOUT = 600.0  # seconds; for the huge one
MEGABYTES = 200
GIBIBYTE = 1024**3

PREAMBLE = """
    import json, re, resource, sys
    from store import Store

    path, size = sys.argv[1], int(sys.argv[2])

    def peak():
        try:  # not `ru_maxrss`, which on Linux begins with that of the process that started this one
            return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
        except FileNotFoundError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    with Store(path) as s:
        s["warm"] = b"up" * 1_000_000
        assert len(s["warm"]) == 2_000_000
"""
WRITES = """
        value = b"x" * size
        before = peak()
        s["it"] = value
        print(json.dumps(peak() - before))
"""
# Bytes that look like the opcode of a class: after a small value, the classes are looked for in a second pass.
WRITES_OPCODES = """
        s["small"] = 1
""" + WRITES.replace("x", "\\x93")  # fmt: skip
WRITES_ARRAY = """
        import numpy
        value = numpy.full(size // 8, 5)
        s["warm"] = value[:1_000_000]
        before = peak()
        s["it"] = value
        print(json.dumps(peak() - before))
"""
READS = """
        before = peak()
        value = s["it"]
        after = peak() - before
        assert len(value) == size and value[-1:] == b"x"
        print(json.dumps(after - size))
"""
MAPS = """
        import numpy
        before = peak()
        value = s["array"]
        print(json.dumps(peak() - before))
        assert value[-1] == 5
"""


def peak_of(what: str, path: Path, size: int) -> int:
    """The bytes at the peak, less those of the value itself."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(what).replace("\n", "\n    "), str(path), str(size)],
        stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    peak: int = json.loads(done.stdout)
    print(f"{what.split()[0]} {size}: {peak / size:.3f} x its size over the value itself")
    return peak


@pytest.mark.heavy
def test_bytes_take_little_more_than_themselves_and_their_pickle(path: Path) -> None:
    size = MEGABYTES * 1_000_000
    assert peak_of(WRITES, path, size) < 1.3 * size
    assert peak_of(READS, path, size) < 1.3 * size


@pytest.mark.heavy
def test_bytes_that_look_like_classes_are_pickled_once(path: Path) -> None:
    size = MEGABYTES * 1_000_000
    assert peak_of(WRITES_OPCODES, path, size) < 1.3 * size


@pytest.mark.heavy
@pytest.mark.parametrize("codec", ["pickle", "numpy"])
def test_array_is_written_without_a_copy(path: Path, codec: str) -> None:
    pytest.importorskip("numpy")
    write = WRITES_ARRAY.replace('s["it"] = value', f's.put("it", value, codec="{codec}")')
    assert peak_of(write, path, MEGABYTES * 1_000_000) < 0.3 * MEGABYTES * 1_000_000


@pytest.mark.slow
def test_mapped_array_takes_no_memory(path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    from store import Store

    with Store(path) as s:
        s["array"] = numpy.full(MEGABYTES * 1_000_000 // 8, 5)
    assert peak_of(MAPS, path, MEGABYTES * 1_000_000) < 20_000_000  # most of it numpy itself


@pytest.mark.huge
@pytest.mark.timeout(1200)
def test_three_gibibytes(path: Path) -> None:
    """Three times what SQLite takes in a row."""
    size = 3 * GIBIBYTE
    assert peak_of(WRITES, path, size) < 1.3 * size
    assert peak_of(READS, path, size) < 1.3 * size
