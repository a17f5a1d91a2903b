"""What is acknowledged is there, whatever happens: tests that kill, cut the power, fail calls and damage files.

`test_*.py` are CI's share of it. The long campaign spreads its time over all promises, in rounds of some seconds:

    python -m tests.campaign --hours 1                     prints each round's seed and counts, and writes promises.md
    python -m tests.campaign --hours 0.1 --only kills      some of them; --list has their names
    python -m tests.campaign --hours 0.2 --only X --again  what failed and was mended, run again: its row is replaced
    python -m tests.campaign --round kills --seed 4711     one round again, as its line says

Where to read: `trial` (what a promise is), `promises` (all of them), `rounds` (a round in a process of its own),
`campaign` (whose turn it is), `table` (what is written).
"""

from __future__ import annotations

import sys
from pathlib import Path

SAMPLES = str(Path(__file__).parents[1] / "samples")
if SAMPLES not in sys.path:  # pytest sees to it by itself
    sys.path.append(SAMPLES)
