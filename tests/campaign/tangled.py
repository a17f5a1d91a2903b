"""Damage never makes a tool endless: everything that reads a tangled file ends, in bounded time and memory.

`python -m tests.campaign.tangled 5000` runs so many files of all shapes, or of the shapes that are named after it.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.care.recover import recover
from store.care.upgrade import upgrade
from store.errors import StoreError

from .damage_templates import KEY, NOW
from .tangled_kinds import tangled
from .tangled_templates import MAKERS, Files, make

CPU_SECONDS = 20  # of all tools on one file, which take a tenth of a second on a sound one
MEMORY_BYTES = 512 * 1024 * 1024  # more than the process has before
PROBLEM = 3


@dataclass
class Found:
    """What came of so many files."""

    files: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = 0.0, ""
    largest: tuple[int, str] = 0, ""
    raised: Counter[str] = field(default_factory=Counter)


def run(shape: str, seed: int, count: int, folder: Path, told: Callable[[str], object] = lambda _: None) -> Found:
    """So many tangled files of a shape, each read by all tools in a process of its own."""
    made = folder / "made"
    made.mkdir()
    template = make(shape, made)
    found = Found()
    rng = Random(f"{shape} {seed}")
    for turn in range(count):
        one = rng.getrandbits(64)
        files, what = tangled(Random(one), template)
        text = f"{shape}, seed {one}: {what}"
        place = folder / str(turn)
        place.mkdir()
        cpu, memory, problem = _in_child(files, place)
        found.files += 1
        found.slowest = max(found.slowest, (cpu, text))
        found.largest = max(found.largest, (memory, text))
        if problem:
            found.failures.append(f"{text}: {problem}")
            told(found.failures[-1])
        _remove(place)
    return found


def _in_child(files: Files, place: Path) -> tuple[float, int, str]:
    """Processor time, the most memory, and what went wrong."""
    now = place / "now"
    now.write_text(" " * 40)
    child = os.fork()
    if not child:
        _limit(now)
        try:
            code = _use_all(files, place, now)
        except BaseException as exc:
            now.write_text(f"{now.read_text() if now.exists() else ''}: {exc!r:.500}")
            code = PROBLEM
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    problem = f"ended with {code} in {now.read_text()}" if code else ""
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, problem


def _limit(now: Path) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if os.path.exists("/proc") else 0
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))
    trace = open(now, "a")  # noqa: SIM115 - until the process ends
    faulthandler.register(signal.SIGXCPU, trace, all_threads=False, chain=True)


def _use_all(files: Files, place: Path, now: Path) -> int:
    path = place / "app.db"
    write(files, path)
    for name, tool in TOOLS.items():
        with now.open("r+b") as file:
            file.write(name.encode().ljust(40))
        try:
            tool(path)
        except (StoreError, KeyError):
            pass
    return 0


def write(files: Files, path: Path) -> None:
    """The files, beside each other."""
    for file, content in files.items():
        target = Path(f"{path}{file}")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _opened(path: Path, **options: Any) -> Store[Any]:
    return Store(path, key=KEY, clock=lambda: NOW, timeout=1, **options)


def _with(use: Callable[[Store[Any]], object], **options: Any) -> Callable[[Path], None]:
    def tool(path: Path) -> None:
        with _opened(path, **options) as s:
            for namespace in ("", "a", "ä"):
                with s.within(namespace) as there:
                    try:
                        use(there)
                    except (StoreError, KeyError):
                        pass

    return tool


def _once(use: Callable[[Store[Any]], object], **options: Any) -> Callable[[Path], None]:
    def tool(path: Path) -> None:
        with _opened(path, **options) as s:
            use(s)

    return tool


def _exhaust(found: Any) -> None:
    for _ in found:
        pass


def _watched(s: Store[Any]) -> None:
    with s.watch(timeout=0):
        pass


TOOLS: dict[str, Callable[[Path], object]] = {
    "recover": lambda path: recover(path, path.parent / "recovered.db", key=KEY),
    "verify quick": _once(lambda s: s.verify(quick=True), mode="r"),
    "verify": _once(lambda s: s.verify(), mode="r"),
    "len": _with(len, mode="r"),
    "list": _with(list, mode="r"),
    "reversed": _with(lambda s: list(reversed(s)), mode="r"),
    "items": _with(lambda s: _exhaust(s.items()), mode="r"),
    "copy": _with(lambda s: s == {"x": 1}, mode="r"),
    "names": _with(lambda s: s.names(), mode="r"),
    "names paged": _with(lambda s: _exhaust(s.records()), mode="r"),
    "names reversed": _with(lambda s: s.names(reverse=True), mode="r"),
    "one": _with(lambda s: (s.get("name 0001"), "name 0003" in s, s.get_many(["name 0005", "x"])), mode="r"),
    "namespaces": _once(lambda s: s.namespaces(), mode="r"),
    "stats": _with(lambda s: s.stats(), mode="r"),
    "watch": _with(_watched, mode="r"),
    "backup": lambda path: _once(lambda s: s.backup(path.parent / "backup.db"), mode="r")(path),
    "upgrade": _once(lambda s: _exhaust(upgrade(s.opened, dry_run=True))),
    "rekey": _once(lambda s: s.rekey()),
    "write": _with(lambda s: s.update({f"new {number}": number for number in range(120)})),
    "purge": _with(lambda s: s.purge()),
    "compact": _once(lambda s: s.compact()),
    "pop": _with(lambda s: s.popitem()),
    "clear": _with(lambda s: s.clear()),
}


def _remove(place: Path) -> None:
    import shutil

    shutil.rmtree(place, ignore_errors=True)


def main(count: int, *shapes: str) -> int:
    """So many files in all, and the figures."""
    warnings.simplefilter("ignore")
    faulthandler.enable()
    shapes = shapes or tuple(MAKERS)
    failures = 0
    for shape in shapes:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(shape, 14, count // len(shapes), Path(folder), lambda text: print(text, flush=True))
        failures += len(found.failures)
        print(
            f"{shape}: {found.files} files, {len(found.failures)} failures, {time.monotonic() - began:.0f} s; "
            f"slowest {found.slowest[0]:.1f} s ({found.slowest[1][:150]}); largest {found.largest[0] >> 20} MB",
            flush=True,
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
