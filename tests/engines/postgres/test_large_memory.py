"""What a large value takes of memory beside itself, in the program and in the server's session of it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

MIB = 1024**2
SPARE = 24 * MIB  # some chunks, and what the allocator keeps
SESSION = 48 * MIB  # of the server for one client: 12 that any takes, and some chunks
TIMEOUT = 900.0  # seconds

PREAMBLE = """
    import json, re, sys, time
    import numpy
    from store import Store

    url, size = sys.argv[1], int(sys.argv[2])

    def kilobytes(process, what):
        return int(re.search(what + r":\\s+(\\d+)", open(f"/proc/{process}/status").read())[1])

    def peak(process="self"):  # less what is shared, as the server's buffers are
        return (kilobytes(process, "VmHWM") - kilobytes(process, "RssShmem")) * 1024

    def server(s):  # the session that took most
        pids = s.opened.engine.handle.all("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'", ())
        return max(peak(pid) for (pid,) in pids)

    s = Store(url)
    s["warm"] = numpy.zeros(4_000_000, "u1")
    assert s["warm"].sum() == 0
"""
WRITES = """
    value = numpy.arange(size // 8)
    value[-1] = 7
    before = peak()
    began = time.perf_counter()
    s["it"] = value
    print(json.dumps([peak() - before, server(s), time.perf_counter() - began]))
"""
READS = """
    before = peak()
    began = time.perf_counter()
    value = s["it"]
    took = time.perf_counter() - began
    assert value[-1] == 7 and value[-2] == size // 8 - 2
    print(json.dumps([peak() - before - size, server(s), took]))
"""
BACKS_UP = """
    before = peak()
    began = time.perf_counter()
    s.backup(sys.argv[3])
    print(json.dumps([peak() - before, server(s), time.perf_counter() - began]))
"""
RESTORES = """
    import store
    del s["it"]
    s.close()
    before, began = peak(), time.perf_counter()
    store.restore(sys.argv[3], url)
    # A mapped page of a file is no memory that the program takes.
    print(json.dumps([peak() - before - size, 0, time.perf_counter() - began]))
"""


def in_child(what: str, *arguments: object) -> None:
    """Peaks beside the value in a process of its own, which end within `SPARE`."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(what), *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    client, server, seconds = json.loads(done.stdout)
    print(f"{what.split()[0]}: {client / MIB:.1f} MiB here, {server / MIB:.1f} in the server, {seconds:.1f} s")
    assert client < SPARE and server < SESSION


@pytest.mark.heavy
def test_array_of_64_mebibytes_in_and_out(postgres_url: str) -> None:
    pytest.importorskip("numpy")
    in_child(WRITES, postgres_url, 64 * MIB)
    in_child(READS, postgres_url, 64 * MIB)


@pytest.mark.heavy
def test_backup_and_restore_of_64_mebibytes(postgres_url: str, tmp_path: object) -> None:
    pytest.importorskip("numpy")
    in_child(WRITES, postgres_url, 64 * MIB)
    in_child(BACKS_UP, postgres_url, 64 * MIB, f"{tmp_path}/backup.db")
    in_child(RESTORES, postgres_url, 64 * MIB, f"{tmp_path}/backup.db")
    in_child(READS, postgres_url, 64 * MIB)


@pytest.mark.huge
@pytest.mark.timeout(1800)
def test_a_gibibyte_in_and_out(postgres_url: str, tmp_path: object) -> None:
    pytest.importorskip("numpy")
    in_child(WRITES, postgres_url, 1024 * MIB)
    in_child(READS, postgres_url, 1024 * MIB)
    in_child(BACKS_UP, postgres_url, 1024 * MIB, f"{tmp_path}/backup.db")
