"""The benchmark runs whole, at tiny sizes, whatever is installed, and its arithmetic is right. Nothing timed is judged."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from . import budget, chart, machine, report, tables
from .__main__ import COMMITTED, ELSEWHERE, arguments, bench, output_of, plan_of
from .contention import in_turn, ratio_of, written
from .figures import differences, percentile, ratios, spread
from .operations import TITLES
from .outcome import Outcome
from .peers import FLOOR, KEPT, SYNCED, Defaults, Kind, roster
from .peers.roster import EVERYBODY, absent, present
from .plan import FULL, QUICK, TINY
from .results import MEASURES, Results, run
from .runner import Contestant, race
from .session import pairs, session
from .team import Done, Trial, Waits


@pytest.mark.huge
@pytest.mark.timeout(300)
def test_whole_run_makes_report_and_chart(tmp_path):
    bench(TINY, MEASURES, tmp_path / "report", quick=True)
    text, svg = ((tmp_path / "report" / name).read_text("utf-8") for name in ("report.md", "report.svg"))
    check_report_has_every_measure_and_everybody_who_is_there(text)
    assert "cannot open it" not in text
    check_report_names_who_is_absent(text)
    check_report_has_each_budget_with_its_verdict(text)
    check_report_says_nothing_of_the_machines_folders(text)
    check_report_says_nothing_of_the_machines_folders(svg)
    check_chart_is_svg_with_a_bar_for_everybody(svg)


def check_report_has_every_measure_and_everybody_who_is_there(text: str) -> None:
    for measure in ("get", "set", "add", "update", "transaction", "items"):
        start = text.index(f"### {TITLES[measure]}")
        table = text[start : text.find("\n### ", start)]
        for kind in present(measure):
            assert f"| {tables.shown(kind.label)} |" in table
    for title in ("2 processes write one file", "2 processes, 90 % reads and 10 % writes", "every commit synced", "How it grows", "What is done with a whole file", "a fresh process reads one record"):
        assert re.search(f"^### .*{title}", text, re.MULTILINE)


def check_report_names_who_is_absent(text: str) -> None:
    (line,) = [line for line in text.splitlines() if line.startswith("- absent: ")] or [""]
    for kind in absent():
        assert f"{kind.label} (needs " in line


def check_report_has_each_budget_with_its_verdict(text: str) -> None:
    budgets = text[text.index("## Budgets") : text.index("## How it was measured")]
    verdicts = re.findall(r"\| (met|\*\*missed\*\*) \|$", budgets, re.MULTILINE)
    optional = {"lmdb": 1, "numpy": 3}
    there = {module for kind in EVERYBODY if not kind.is_absent() for module in kind.modules}
    there |= {"numpy"} if "MiB, written" in text else set()
    assert len(verdicts) == 19 + sum(rows for module, rows in optional.items() if module in there)


def check_report_says_nothing_of_the_machines_folders(text: str) -> None:
    for folder in (str(Path.home()), os.getcwd(), tempfile.gettempdir(), sys.prefix):
        assert folder not in text


def check_chart_is_svg_with_a_bar_for_everybody(text: str) -> None:
    root = ElementTree.fromstring(text)
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for measure, title in (*chart.PANELS.items(), ("mixed", "2 processes, 90 % reads, per operation")):
        assert title in words
        assert all(words.count(kind.label) >= 1 for kind in present(measure))
    assert "prefers-color-scheme: dark" in text


def test_peer_that_is_absent_is_named_and_left_out(monkeypatch):
    ghost = Kind("ghost", KEPT, lambda folder: pytest.fail("it was opened"), modules=("no_such_library",), distribution="ghost")
    monkeypatch.setattr(roster, "EVERYBODY", (ghost,))
    assert roster.present("get") == []
    assert roster.absent() == [ghost]
    assert machine.lines()[-1].startswith("- absent: ghost (needs ghost)")


@pytest.mark.slow
def test_every_kind_that_is_there_keeps_what_it_is_given(tmp_path):
    for number, kind in enumerate(present("update")):
        folder = tmp_path / str(number)
        folder.mkdir()
        peer = kind.open(folder)
        assert isinstance(peer, Defaults)
        peer.bulk(pairs(20))
        peer.set("session:0000003", session(99))
        peer.flush()
        assert peer.get("session:0000003") == session(99)
        if kind.takes_part("transaction"):
            peer.transaction(pairs(5, start=100))
        if kind.takes_part("items"):
            expected = dict(pairs(20)) | {"session:0000003": session(99)}
            found = dict(peer.items())
            assert {name: found[name] for name in expected} == expected
        assert peer.get("session:0000007") == session(7)
        peer.close()


def test_kinds_have_labels_of_their_own():
    labels = [kind.label for kind in EVERYBODY]
    assert len(set(labels)) == len(labels)


def test_race_gives_everybody_the_same_rounds_and_counts_what_is_asked():
    asked: dict[str, list[int]] = {"fixed": [], "fitted": []}
    found = race(
        [Contestant("fixed", asked["fixed"].append, count=7), Contestant("fitted", _busy(asked["fitted"]))], 3, 1e-3
    )
    assert {label: len(figures) for label, figures in found.items()} == {"fixed": 3, "fitted": 3}
    assert asked["fixed"] == [7] * 4  # the first one warms up
    assert len(set(asked["fitted"][-3:])) == 1


def _busy(asked: list[int]):
    def run(count: int) -> None:
        asked.append(count)
        for _ in range(count):
            sum(range(100))

    return run


def test_figures_of_known_rounds():
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert differences([2.0, 9.0], [1.0, 3.0]) == [1.0, 6.0]
    outcome = Outcome("set", "", {"store": [2.0, 30.0, 4.0], "raw sqlite3": [1.0, 10.0, 4.0]}, "raw sqlite3")
    assert outcome.ratio("store") == (2.0, 1.0, 3.0)  # of the rounds, not 4.0 / 4.0 of the medians
    assert outcome.ratio("nobody") is None


@pytest.mark.parametrize("percent, expected", [(50, 50), (99, 99), (99.9, 100), (100, 100), (0, 1)])
def test_percentile_is_the_nearest_rank(percent, expected):
    assert percentile(Counter(range(1, 101)), percent) == expected


def test_ratios_of_trials_are_taken_by_round():
    ours, limit = ([Trial([Done(0, count, 1.0)], Waits(), Waits()) for count in counts] for counts in ((10, 40), (20, 40)))
    assert ratio_of(written, ours, limit) == (0.75, 0.5, 1.0)


@pytest.mark.parametrize("ours, verdict", [(1.5e-6, "met"), (2.5e-6, "**missed**")])
def test_budget_is_met_or_missed_by_what_was_measured(ours, verdict):
    series = {"store": [ours] * 3, "pickle.loads": [1e-6] * 3}
    (row,) = budget.lines(Results(TINY, {"get": Outcome("get", "", series)}))[2:]
    assert row.endswith(f"| {verdict} |")


@pytest.mark.parametrize("seconds, shown", [(1.5, "1.5 s"), (0.00251, "2.51 ms"), (0.25, "250 ms"), (3e-8, "30 ns")])
def test_duration_has_three_digits(seconds, shown):
    assert tables.duration(seconds) == shown


@pytest.mark.parametrize("words, output", [
    ([], COMMITTED), (["--quick"], ELSEWHERE), (["--only", "get"], ELSEWHERE), (["--scale", "10,20"], ELSEWHERE),
    (["--output", "there"], Path("there")),
])  # fmt: skip
def test_only_a_full_run_writes_what_the_readme_shows(words, output):
    assert output_of(arguments(words)) == output


def test_options_change_the_plan():
    assert plan_of(arguments([])) == FULL
    assert plan_of(arguments(["--quick", "--peers", "store,raw"])) == replace(QUICK, peers=("store", "raw"))
    options = arguments(["--scale", "1_000,5000000"])
    assert (options.only, plan_of(options).sizes) == (("scale",), (1000, 5_000_000))
    with pytest.raises(SystemExit):
        arguments(["--only", "speed"])


@pytest.mark.slow
def test_single_measure_of_chosen_peers_makes_a_report():
    told: list[list[str]] = []
    results = run(replace(TINY, peers=("store", "raw")), ("set",), told.append)
    assert set(results.outcomes["set"].series) == {"store", "store, full", "raw sqlite3", "raw sqlite3, full"}
    assert told[1:] == [results.text["set"]]
    assert "`s[k] = v`" in "\n".join(report.lines(results, quick=True, took="today"))


def test_tables_are_in_parts_by_class_and_the_limit_is_that_of_the_class():
    series = {
        "raw sqlite3, full": [4.0], "store, full": [2.0], "store": [3.0], "raw sqlite3": [1.0], "rocksdict": [0.5],
        "sqlitedict": [5.0], "pickle.loads": [0.1],
    }  # fmt: skip
    cells = [line.split(" | ") for line in tables.table(Outcome("set", "", series, "raw sqlite3"))[2:]]
    assert [(row[0].strip("| "), row[1], row[4][:4]) for row in cells] == [
        ("power cut, processes", "**store, full**", "0.50"), ("", "raw sqlite3, full", "1.00"),
        ("crash, processes", "raw sqlite3", "1.00"), ("", "**store**", "3.00"), ("one process", "rocksdict", "0.50"),
        ("fragile or weak", "sqlitedict", "5.00"), ("no storage", "pickle.loads", "0.10"),
    ]  # fmt: skip


def test_longer_labels_belong_to_the_kind_that_they_begin_with():
    assert roster.durability_of("store, after a set") == roster.durability_of("store get") == KEPT.name
    assert roster.durability_of("store, full") == SYNCED.name
    assert roster.durability_of("python -c pass") == ""
    assert roster.guarantee_of("python -c pass") is FLOOR


def test_order_of_trials_is_reversed_every_second_round():
    kinds = present("mixed")
    first, second, third = (in_turn(kinds, number) for number in range(3))
    assert first == second[::-1] == third
    labels = [kind.label for kind in first]
    assert labels.index("raw sqlite3") - labels.index("store") == 1  # what is compared is measured side by side
