"""What the figures were taken on: processor, memory, kernel, versions. Nothing that names the machine itself."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from .peers.roster import EVERYBODY, absent

OF_ARRAYS = ("numpy", "joblib")


def lines() -> list[str]:
    """Markdown list items."""
    versions = dict.fromkeys(
        kind.version() for kind in EVERYBODY if kind.distribution is not None and not kind.is_absent()
    )
    versions |= dict.fromkeys(f"{library} {metadata.version(library)}" for library in OF_ARRAYS if find_spec(library))
    text = [*without_peers(), f"- {', '.join(versions)}"]
    missing = [f"{kind.label} (needs {kind.needs or kind.distribution})" for kind in absent()]
    missing += [f"{library} for arrays (needs {library})" for library in OF_ARRAYS if not find_spec(library)]
    return [*text, f"- absent: {'; '.join(missing)}"] if missing else text


def without_peers() -> list[str]:
    """Those of the machine and of Python."""
    return [
        f"- {_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}",
        f"- {platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory() -> str:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return "memory unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1024**3:.0f} GiB"
