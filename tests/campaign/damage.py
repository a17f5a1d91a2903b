"""Damage at rest: every read is right or raises, and what is not damaged stays readable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

from .damage_templates import MAKERS
from .trial import Promise, Round

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 600  # of one child, whose own watch ends it sooner
ROUND = 1500  # damages


def damage(key: str, seed: int, count: int, folder: Path) -> Round:
    """So many damages of the template of that name, read in a process that may die of it."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.campaign.damaged_child", key, str(seed), str(count), str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if child.returncode:
        last = folder / "now"
        what = last.read_text() if last.exists() else "before the first damage"
        return Round(1, [f"the reader ended with {child.returncode} at {what}: {child.stderr[-2000:]}"])
    result = json.loads(child.stdout)
    return Round(result["counts"]["damages"], result["failures"])


def run(rng: Random, folder: Path) -> Round:
    """One template, damaged again and again."""
    return damage(rng.choice(list(MAKERS)), rng.getrandbits(32), ROUND, folder)


DAMAGE = Promise(
    "damage",
    "A flipped bit, a zeroed sector, a swapped page or a file that was cut off gives no wrong value: a read is right "
    "or raises, other records stay readable, and `verify` finds it.",
    "Bits, bytes, sectors, pages and ends of the database, its log and the files of large values, of stores of six "
    "shapes; then everything is read in every way. A failure is a wrong value, a crash, an error that is none of ours, "
    "a record that cannot be read though none of its bytes were hit, or damage that `verify` does not see.",
    "damages",
    run,
)
