"""The classes whose objects lie in the golden stores: their names, fields and versions stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import store


@dataclass
class Plain:
    left: int
    right: list[Any]


@store.versioned(1)
@dataclass
class Account:
    name: str
    balance: int


@dataclass
class Prefs:
    theme: str = "dark"
    font_size: int = 14
    recent: list[str] = field(default_factory=list)
