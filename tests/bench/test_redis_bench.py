"""The benchmark of the engine on Redis runs whole, at tiny sizes, with the peers that are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="ENGINE redis CANNOT BE HAD HERE: redis-py is not installed")

from redis_programs import on_path

from .__main__ import arguments
from .outcome import Outcome
from .redis import program, servers
from .redis.measures import CLUSTER_ROSTER, ROSTER, TITLES
from .redis.peers import BARE
from .redis.report import Results, Run, lines, svg
from .remote.checking import NotStored, check
from .remote.peers import STORE, Kind
from .remote.plan import Plan
from .remote.tables import clients_table
from .session import session

ROOT = Path(__file__).parents[2]


@pytest.mark.huge
@pytest.mark.timeout(300)
def test_whole_run_makes_a_report_and_a_chart(tmp_path):
    if on_path("redis-server") is None and on_path("valkey-server") is None:
        pytest.skip("ENGINE redis CANNOT BE HAD HERE: no server of it is installed")
    # A program of its own: another test of this one may have set Django up otherwise.
    source = "import sys\nfrom pathlib import Path\nfrom tests.bench.__main__ import own_key\n" \
        "from tests.bench.redis import program\nfrom tests.bench.remote.plan import TINY\n" \
        "with own_key():\n    program.bench(TINY._replace(sizes=(100,)), Path(sys.argv[1]), print, quick=True)"  # fmt: skip
    subprocess.run([sys.executable, "-c", source, str(tmp_path)], check=True, timeout=280, cwd=ROOT)
    text = (tmp_path / program.FILE).read_text("utf-8")
    for title, roster in ((servers.NODE, ROSTER), (servers.CLUSTER, CLUSTER_ROSTER)):
        of_server = text[text.index(f"## One client, {title}, 100 records") :]
        for operation, heading in TITLES.items():
            start = of_server.index(f"### {heading}")
            table = of_server[start : of_server.find("\n### ", start)]
            assert all(kind.label in table for kind in roster.present()), operation
        assert f"## 2 clients at once, each a process, {title}" in text
    assert "64 KiB, unchanged" in text
    assert str(tmp_path) not in text
    assert (tmp_path / program.CHART).read_text("utf-8").startswith("<svg")


class Forgetful:
    """A peer that stores nothing; `edit` gives the same session each time."""

    def set(self, name, value):
        pass

    def get(self, name):
        return session(5)

    edit = get

    def close(self):
        pass


@pytest.mark.parametrize(("operation", "others"), [("set", {"edit"}), ("edit", {"set"})])
def test_peer_that_does_not_store_is_not_measured(operation, others):
    lacks = frozenset({"update", "get_many", "delete", "items", *others})
    kind = Kind("forgetful", lambda url: Forgetful(), lambda url, pairs: None, lacks=lacks)
    with pytest.raises(NotStored, match=f"forgetful: {operation}"):
        check(kind, "")


def results(outcome: Outcome) -> Results:
    return Results(Plan(), None, [Run(servers.NODE, ROSTER, {1000: [outcome]}, {})], [], "redis 7.0")


def test_budget_is_met_or_missed_by_the_ratio_to_the_bare_client():
    met = Outcome("get", "a read", {STORE: [1.2, 1.2], BARE: [1.0, 1.0]}, BARE)
    missed = Outcome("set", "a write", {STORE: [1.6, 1.6], BARE: [1.0, 1.0]}, BARE)
    assert "| a read | 1,000 on one node | ≤ 1.3 × | 1.2 × | 1.20 | met |" in lines(results(met), "today", quick=False)
    text = lines(results(missed), "today", quick=False)
    assert "| a write | 1,000 on one node | ≤ 1.5 × | 1.6 × | 1.60 | **missed** |" in text


def test_chart_has_a_panel_for_an_operation():
    chart = svg(results(Outcome("get", "a read", {STORE: [1.2], BARE: [1.0]}, BARE)))
    assert "read one record" in chart and BARE in chart


def test_peer_without_an_operation_has_none_among_many_clients():
    table = clients_table({"get": {BARE: [100.0]}, "session": {BARE: [50.0], "Flask-Session": [25.0]}}, BARE)
    assert table[-1] == "| Flask-Session | has none |  | 25/s | 0.50 (0.50 – 0.50) |"


def test_options_reach_the_plan():
    options = arguments(["--engine", "redis", "--peers", "store,bare"])
    assert (options.engine, options.peers) == ("redis", ("store", "bare"))
