"""A class of settings that several test files use, and one later release of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Literal


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Window:
    width: int = 800
    title: str | None = None


@dataclass
class Prefs:
    theme: str = "dark"
    font_size: int = 14
    scale: float = 1.0
    beep: bool = True
    recent: list[str] = field(default_factory=list)
    color: Color = Color.RED
    window: Window = field(default_factory=Window)
    folder: Path | None = None
    since: datetime | None = None
    position: tuple[int, int] = (0, 0)
    tags: set[str] = field(default_factory=set)
    level: Literal["low", "high"] = "low"
    proxy: str | None = None


SOME = {
    "theme": "light", "font_size": 20, "scale": 2.5, "beep": False, "recent": ["a", "b"], "color": Color.BLUE,
    "window": Window(300, "x"), "folder": Path("/x/y"), "since": datetime(2024, 5, 6, 7, 8), "position": (3, -4),
    "tags": {"p", "q"}, "level": "high", "proxy": "p:1",
}  # fmt: skip
