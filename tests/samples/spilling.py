"""A store whose values are large from a thousand bytes on, and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from store import Store

LIMIT = 1000  # bytes
BIG = b"big" * 1000
OTHER = b"other" * 1000


def small_spill(path: Path, **options: Any) -> Store[Any]:
    return Store(path, **{"spill_bytes": LIMIT, **options})


def folder_of(path: Path) -> Path:
    return path.with_name(path.name + "-spill")


def files(path: Path) -> list[str]:
    """The files beside the store, oldest first."""
    folder = folder_of(path)
    return sorted(os.listdir(folder), key=lambda file: (folder / file).stat().st_mtime_ns) if folder.exists() else []


def only_file(path: Path) -> Path:
    (file,) = files(path)
    return folder_of(path) / file
