"""Every tool on a record of somebody else whose files are holes, under the limits: `python hollow_child.py PATH MEGABYTES`.

Prints as JSON what each tool says, and the processor time and the memory that all of them took together.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peak import peak_bytes

from store import Store
from store.care import backup as backups
from store.care.inspect import foreign_records
from store.care.raw import export_raw
from store.care.recover import recover
from store.errors import StoreError

CPU_SECONDS = 60  # until it is killed


def tools(path: Path, s: Store[Any]) -> dict[str, Callable[[], Any]]:
    """By name, each reading the whole record, or all that it needs to."""
    copy = path.with_name("copy.db")
    return {
        "get": lambda: s.get("it"),
        "items": lambda: [value for _, value in s.items()],
        "edit": lambda: s.touch("it", 5),
        "inspect": lambda: s.inspect("it").problem,
        "admit": lambda: [found.problem for found in foreign_records(s.opened)],
        "verify": lambda: s.verify().files,
        "quick": lambda: s.verify(quick=True).files,
        "raw": lambda: len(next(iter(export_raw(s.opened)))),
        "backup": lambda: s.backup(copy).files,
        "restore": lambda: backups.restore(path, path.with_name("restored.db")).files,
        "compact": lambda: s.compact().files,
        "other": lambda: s.get("other"),
    }


def say(tool: Callable[[], Any]) -> str:
    try:
        return repr(tool())
    except StoreError as exc:
        return f"{type(exc).__name__}: {exc}"


def main(path: Path, megabytes: int) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + megabytes * 2**20, size + megabytes * 2**20))
    with Store[Any](path) as s:
        said = {name: say(tool) for name, tool in tools(path, s).items()}
    said["recover"] = say(lambda: recover(path, path.with_name("recovered.db")).lost)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"said": said, "seconds": usage.ru_utime + usage.ru_stime, "megabytes": peak_bytes() >> 20}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
