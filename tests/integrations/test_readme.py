"""The table of adapters in `store/integrations/README.md` has each module, and each extra of the table is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "store" / "integrations"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ROWS = re.findall(r"^\| `([\w-]+)` \| `store\.integrations\.(\w+)", (FOLDER / "README.md").read_text(), re.MULTILINE)

OF_COMMANDS = {"web", "cli"}  # of `store web` and `store top`, which are no adapters


def test_table_has_each_adapter() -> None:
    there = {entry.stem for entry in FOLDER.iterdir()} - {"__init__", "__pycache__", "README"}
    assert there <= {module for _, module in ROWS}


def test_each_extra_is_one_of_frameworks() -> None:
    together = ",".join(re.findall(r"sealed-store\[(.+)\]", "\n".join(EXTRAS["frameworks"])))
    assert {extra for extra, _ in ROWS} == set(together.split(",")) - OF_COMMANDS
    assert {extra for extra, _ in ROWS} <= set(EXTRAS)
