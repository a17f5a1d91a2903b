"""The benchmark of the cache runs whole, at tiny sizes, with the peers that are installed. Nothing timed is judged."""

from __future__ import annotations

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from . import __main__ as program_of_all
from .__main__ import COMMITTED, ELSEWHERE, arguments, cache_plan_of
from .cache import peers, program, redis_server
from .cache.measures import FULL, OPERATIONS, QUICK, TINY, Found, Plan, measure
from .cache.peers import BASE, KINDS, STORE, Kind, Place, ThisStore, class_of, get_and_set, kind_of, present
from .cache.report import Results, lines, stampede_table, svg, table
from .cache.stampede import Computing, Stampedes
from .noise import Noise
from .outcome import Outcome
from .peers import FRAGILE, KEPT, WEAKER
from .session import pairs, session
from .tables import shown

QUIET = Noise(0.0, 0.0, 0.0)


def results(series: dict[str, list[float]], **more: int) -> Results:
    found = Found(Outcome("evict", OPERATIONS["evict"], series, BASE), more)
    return Results(FULL, QUIET, {100: [found]}, Stampedes({"store, get_or_compute": [1, 3, 1]}, {"store, get_or_compute": [0.1, 0.2, 0.1]}))


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_whole_run_makes_report_and_chart(tmp_path):
    told: list[list[str]] = []
    program.bench(TINY, tmp_path, told.append, quick=True)
    text, drawn = ((tmp_path / name).read_text("utf-8") for name in (program.FILE, program.CHART))
    for operation, title in OPERATIONS.items():
        start = text.index(f"### {title}")
        rows = text[start : text.find("\n### ", start)]
        assert all(f"| {shown(kind.label)} |" in rows for kind in present() if kind.takes_part(operation))
    ways = [f"{kind.label}, {way}" for kind in present() for way in kind.computing]
    assert all(f"| {shown(way)} | " in text for way in ways)
    assert re.search(r"\| \*\*store, get_or_compute\*\* \| 1 \|", text)
    assert tempfile.gettempdir() not in text + drawn
    words = [node.text for node in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert {"hit, 100 entries", "set with eviction, 100 entries", "2 processes, one cold entry", *ways} <= set(words)


@pytest.mark.parametrize("kind", present(), ids=lambda kind: kind.label)
@pytest.mark.slow
def test_kind_that_is_there_keeps_what_it_is_given_and_its_bound(kind: Kind, tmp_path: Path):
    with redis_server.redis_server() as port:
        place = Place(tmp_path, port)
        peer = kind.open(place, None)
        peer.fill(pairs(50))
        peer.set("session:0000003", session(99))
        assert (peer.get("session:0000003"), peer.get("session:0000007"), peer.get("x")) == (session(99), session(7), None)
        size, entries = peer.size(), peer.entries()
        assert 50 <= entries <= 51  # a library may count a file of its own
        peer.close()
        peer = kind.open(place, size)
        by_entries = kind.note.startswith(("bounded by records", "bounded by entries"))
        number = 30 if by_entries else 5000
        for name, value in pairs(number, 100):
            peer.set(name, value)
        assert peer.entries() <= 53 if by_entries else peer.entries() < number
        peer.close()


@pytest.mark.parametrize("kind", [kind for kind in present() if kind.computing], ids=lambda kind: kind.label)
def test_each_way_of_computing_gives_the_value_and_keeps_it(kind: Kind, tmp_path: Path):
    with redis_server.redis_server() as port:
        peer = kind.open(Place(tmp_path, port), None)
        for label, way in kind.computing.items():
            computing = Computing(0.0)
            compute = way(peer, computing.function())
            assert [compute(f"cold {label}") for _ in range(3)] == [session(len(f"cold {label}"))] * 3
            assert computing.times == 1
        peer.close()


def test_peer_that_is_not_installed_is_named_and_left_out(monkeypatch):
    ghost = Kind("ghost", KEPT, lambda place, limit: pytest.fail("it was opened"), modules=("no_such_library",),
                 program="no-such-program")  # fmt: skip
    monkeypatch.setattr(peers, "KINDS", (ghost,))
    assert ghost.missing() == ["no_such_library", "no-such-program"]
    assert present() == []


def test_without_redis_there_is_no_server(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with redis_server.redis_server() as port:
        assert port is None
    assert redis_server.server_version() == ""
    (kind,) = (kind for kind in KINDS if kind.label == "Redis")
    assert redis_server.PROGRAM in kind.missing()


def test_each_who_finds_nothing_computes_where_a_library_has_nothing_for_it(tmp_path):
    peer = ThisStore(Place(tmp_path, None), None)
    computing = Computing(0.0)
    compute = get_and_set(peer, computing.function())
    assert compute("a") == compute("a")
    peer.cache.clear()
    compute("a")
    assert computing.times == 2
    peer.close()


def test_labels_have_their_class():
    assert len({kind.label for kind in KINDS}) == len(KINDS)
    assert kind_of("diskcache Cache, LRU").label == "diskcache Cache, LRU"
    assert kind_of("diskcache Cache, memoize").label == BASE
    assert class_of("cachelib files, get and set") is WEAKER
    assert kind_of("cachelib files, get and set").durability is FRAGILE


def test_table_compares_round_by_round_and_tells_how_many_are_left():
    found = results({STORE: [1e-6, 4e-6], BASE: [2e-6, 4e-6]}, **{STORE: 7000, BASE: 80}).by_size[100][0]
    text = table(found)
    assert text[2].startswith("| crash, processes | **store** | 2.5 µs | 1 µs – 4 µs | 0.75 (0.50 – 1.00) | 7,000 |")
    assert "| 80 |" in text[3]


def test_stampede_table_tells_how_often_it_was_computed():
    text = stampede_table(Stampedes({"store, get_or_compute": [1, 3, 1]}, {"store, get_or_compute": [0.1, 0.2, 0.1]}), Plan(computing=0.05))
    assert text[2] == "| crash, processes | **store, get_or_compute** | 1 (1 – 3) | 100 ms | 100 ms – 200 ms | 2.00 |"


def test_report_names_its_command_and_chart_is_svg():
    found = results({STORE: [1e-6], BASE: [2e-6]}, **{STORE: 70, BASE: 80})
    text = "\n".join(lines(found, "today", quick=False))
    assert "today, by `python -m tests.bench --only cache --scale 100000`." in text
    assert "## 100 entries" in text
    assert text.splitlines()[2].startswith("A full run, ")
    assert "\nA run of a part" in "\n".join(lines(found._replace(plan=Plan(peers=("store",))), "today", quick=False))
    assert "\nA quick run" in "\n".join(lines(found._replace(plan=QUICK), "today", quick=True))
    root = ElementTree.fromstring(svg(found))
    assert "set with eviction, 100 entries" in [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_options_reach_the_plan_and_only_a_whole_run_writes_the_committed_report(monkeypatch):
    outputs = []
    monkeypatch.setattr(program, "bench", lambda plan, output, say, quick: outputs.append(output))
    for words in ([], ["--scale", "100000,1000000"], ["--scale", "1000000"], ["--quick"], ["--peers", "store"], ["--rounds", "3"]):
        program_of_all.bench_cache(arguments(["--only", "cache", *words]))
    assert outputs == [COMMITTED, COMMITTED, ELSEWHERE, ELSEWHERE, ELSEWHERE, ELSEWHERE]
    plan = cache_plan_of(arguments(["--only", "cache", "--quick", "--scale", "500", "--peers", "store", "--rounds", "2"]))
    assert plan == QUICK._replace(sizes=(500,), peers=("store",), rounds=2, stampedes=2)


def test_cache_is_measured_alone(capsys):
    with pytest.raises(SystemExit):
        arguments(["--only", "get,cache"])
    assert "measure it alone" in capsys.readouterr().err


@pytest.mark.slow
def test_chosen_peers_are_measured(tmp_path):
    plan = TINY._replace(peers=("store",))
    found = {each.outcome.measure: each for each in measure(100, plan)}
    assert set(found) == set(OPERATIONS)
    assert set(found["hit"].outcome.series) == {"store", "store, from disk"}
    assert set(found["evict"].entries) == {"store", "store, max_records"}
    assert found["evict"].entries["store, max_records"] <= 105
