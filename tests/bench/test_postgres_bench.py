"""The benchmark of the engine on PostgreSQL runs whole, at tiny sizes, with the peers that are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="ENGINE postgres CANNOT BE HAD HERE: psycopg is not installed")
pytest.importorskip("psycopg_pool", reason="ENGINE postgres CANNOT BE HAD HERE: psycopg_pool is not installed")

from postgres_server import programs

from .__main__ import arguments
from .outcome import Outcome
from .postgres import program
from .postgres.measures import ROSTER, TITLES
from .postgres.peers import BARE
from .postgres.report import Results, lines
from .remote.peers import STORE, Kind
from .remote.plan import Plan
from .remote.tables import clients_table

ROOT = Path(__file__).parents[2]


@pytest.mark.huge
@pytest.mark.timeout(300)
def test_whole_run_makes_a_report(tmp_path):
    if programs() is None:
        pytest.skip("ENGINE postgres CANNOT BE HAD HERE: no PostgreSQL server is installed")
    # A program of its own: another test of this one may have set Django up otherwise.
    source = "import sys\nfrom pathlib import Path\nfrom tests.bench.postgres import program\nfrom tests.bench.remote.plan import TINY\n" \
        "program.bench(TINY, Path(sys.argv[1]), print, quick=True)"  # fmt: skip
    subprocess.run([sys.executable, "-c", source, str(tmp_path)], check=True, timeout=280, cwd=ROOT)
    text = (tmp_path / program.FILE).read_text("utf-8")
    for operation, title in TITLES.items():
        start = text.index(f"### {title}")
        table = text[start : text.find("\n### ", start)]
        assert all(f"{kind.label}" in table for kind in ROSTER.present()), operation
    assert "## 2 clients at once" in text
    assert "64 KiB, unchanged" in text
    assert str(tmp_path) not in text


def test_peer_that_is_not_installed_is_named_and_left_out():
    ghost = Kind("ghost", lambda url: pytest.fail("it was opened"), lambda url, pairs: None, modules=("no_such_library",))
    haunted = ROSTER._replace(kinds=(*ROSTER.kinds, ghost))
    assert "ghost (needs no_such_library)" in haunted.absent()
    assert haunted.present() == ROSTER.present()
    assert {kind.label for kind in ROSTER.kinds} >= {BARE, STORE, "SQLAlchemy core", "Django database cache"}


def test_budget_is_met_or_missed_by_the_ratio_to_the_bare_driver():
    met = Outcome("get", "a read", {STORE: [1.2, 1.2], BARE: [1.0, 1.0]}, BARE)
    missed = Outcome("set", "a write", {STORE: [1.6, 1.6], BARE: [1.0, 1.0]}, BARE)
    text = "\n".join(lines(Results(Plan(), "PostgreSQL 15", 0.0, {1000: [met, missed]}, [], {}), "today", quick=False))
    assert "| a read | 1,000 | ≤ 1.3 × | 1.2 × | 1.20 | met |" in text
    assert "| a write | 1,000 | ≤ 1.5 × | 1.6 × | 1.60 | **missed** |" in text


def test_throughput_of_many_clients_is_compared_round_by_round():
    table = clients_table({"get": {BARE: [100.0, 200.0], STORE: [50.0, 180.0]}}, BARE)
    assert table[-1] == "| **store** | 115/s | 0.70 (0.50 – 0.90) |"


def test_options_reach_the_plan():
    options = arguments(["--engine", "postgres", "--scale", "1000,1000000"])
    assert (options.engine, options.scale) == ("postgres", (1000, 1_000_000))
