"""What the figures were taken on: processor, memory, kernel, versions. Nothing that names the machine itself."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from pathlib import Path

from .peers.roster import EVERYBODY, absent


def lines() -> list[str]:
    """Markdown list items."""
    versions = dict.fromkeys(
        kind.version() for kind in EVERYBODY if kind.distribution is not None and not kind.is_absent()
    )
    text = [
        f"- {_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}",
        f"- {platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"- {', '.join(versions)}",
    ]
    missing = [_missing(kind.label, kind.needs, kind.distribution) for kind in absent()]
    return [*text, f"- absent: {', '.join(missing)}"] if missing else text


def _missing(label: str, needs: str, distribution: str | None) -> str:
    return f"{label} (needs {needs or distribution})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory() -> str:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return "memory unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1024**3:.0f} GiB"
