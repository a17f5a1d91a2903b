"""`store top`: what it shows, on a terminal and off it, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.cli.top import sample as sampling
from store.cli.top.facts import activity_facts, storage_facts
from store.cli.top.sample import Rates, Sampler, rates_between
from store.engines.activity import Activity

ONCE = ("--once", "--interval", "0.01")
SECONDS = 60


@pytest.fixture
def rich() -> None:
    pytest.importorskip("rich", reason="rich is not installed: what `store top` draws is not tested")


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process a survey comes to its end, however busy the machine is."""
    monkeypatch.setattr(sampling, "SURVEY_SECONDS", 3600.0)


class Steady:
    now = 50.0

    def __call__(self) -> float:
        return self.now


# -- samples


def test_rates_are_of_each_second_and_unknown_where_a_total_is() -> None:
    before, after = Activity(10, 5, None, 1, 0.5), Activity(30, 5, 9, 3, 1.5)
    assert rates_between(before, after, 4.0) == Rates(5.0, 0.0, None, 0.5, 0.25)
    assert rates_between(after, before, 4.0) == Rates(hits=0.0), "the totals were begun anew"


def test_rates_are_those_of_the_last_seconds(path: Path) -> None:
    steady = Steady()
    with Store[Any](path) as s:
        sampler = Sampler(s.opened, None, steady)
        s.update({str(number): number for number in range(100)})
        steady.now += 0.25
        assert sampler.sample().rates == Rates(), "what a program adds is that of a whole second"
        steady.now += 0.75
        assert sampler.sample().rates.writes == 100
        for _ in range(3):
            steady.now += 1
            s["0"] = 1
            last = sampler.sample().rates
        assert last.writes == 1, "the hundred are more than three seconds ago"


def test_survey_is_made_again_after_ten_times_as_long_as_it_took(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady, made = Steady(), []
    survey = sampling.survey

    def slow(*args: Any, **options: Any) -> Any:
        made.append(options["namespace"])
        steady.now += 0.5
        return survey(*args, **options)

    monkeypatch.setattr(sampling, "survey", slow)
    with Store[Any](path) as s:
        sampler = Sampler(s.opened, "x", steady)
        for seconds, expected in ((0, 1), (4.9, 1), (0.2, 2), (4.9, 2)):
            steady.now += seconds
            sampler.sample()
            assert made == ["x"] * expected


def test_facts(path: Path) -> None:
    with Store[Any](path) as s:
        s["a"] = bytes(100)
        sample = Sampler(s.opened, None, Steady()).sample()
    assert dict(activity_facts(sample))["reads/s"] == "-"
    facts = dict(storage_facts(sample))
    assert (facts["records"], facts["namespaces"], "damaged" in facts) == ("1", "1", False)
    from dataclasses import replace

    busy = replace(sample, rates=Rates(1234.5, 617.25, 0.25, 2.0, 0.5), activity=Activity(waiting=3))
    assert activity_facts(busy) == [
        ("reads/s", "1,234"), ("from cache", "50%"), ("writes/s", "0.2"), ("lock waits/s", "2.0"),
        ("average wait", "250.0 ms"), ("waiting now", "3"),
    ]  # fmt: skip
    odd = replace(sample, survey=replace(sample.survey, complete=False, damaged=2))
    odd = replace(odd, usage=odd.usage._replace(log_pinned_bytes=2048, log_pinned_by=77))
    facts = dict(storage_facts(odd))
    assert (facts["records"], facts["damaged"], facts["WAL pinned"]) == ("1+", "2", "2.0 KiB by 77")


# -- off a terminal


def test_one_frame_where_there_is_no_terminal(run: Any, stocked: Any, rich: None) -> None:
    result = run("top", stocked, *ONCE)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    for word in ("reads/s", "writes/s", "WAL", "largest", "newest", "soon to expire", "session:4f2a", "limits (settings)"):
        assert any(word in line for line in lines), word
    assert "\x1b" not in result.out
    assert len(run("top", stocked, "--interval", "0.01").out.splitlines()) == len(lines)


def test_json_tells_all_figures(run: Any, stocked: Any) -> None:
    result = run("top", stocked, "--json", "--interval", "0.01")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert set(found) == {
        "path", "time", "activity", "per_second", "data_bytes", "wal_bytes", "wal_pinned_bytes", "wal_pinned_by",
        "records", "bytes", "namespaces", "codecs", "expiries", "largest", "newest", "soonest", "damaged", "complete", "left_out",
    }  # fmt: skip
    assert (found["records"], found["namespaces"]["settings"]["records"], found["complete"]) == (5, 1, True)
    assert [record["name"] for record in found["soonest"]] == ["session:4f2a"]
    assert set(found["per_second"]) == {"reads", "hits", "writes", "lock_waits", "lock_wait_seconds"}
    assert found["activity"]["reads"] is not None


def test_only_one_namespace(run: Any, filled: Any) -> None:
    found = json.loads(run("top", filled, "--namespace", "settings", "--json", "--interval", "0.01").out)
    assert (found["records"], list(found["namespaces"])) == (1, ["settings"])


def test_wrong_calls(fails: Any, tmp_path: Path, filled: Any) -> None:
    fails(2, "above 0", "top", filled, "--interval", "0")
    fails(2, "at most a day", "top", filled, "--interval", "2d")
    fails(1, "there is no store at", "top", tmp_path / "nothing.db", "--json")
    fails(2, "ends with the command", "top", ":memory:")
    (tmp_path / "text").write_text("not a store\n" * 100)
    fails(1, "not", "top", tmp_path / "text", "--json")


def test_without_its_library_it_says_what_to_install(
    run: Any, fails: Any, filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "store.cli.top.frame", raising=False)
    monkeypatch.delattr("store.cli.top.frame", raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    fails(1, "needs rich, which is not installed: pip install '.[cli]'", "top", filled, *ONCE)
    assert run("top", filled, "--json", "--interval", "0.01").code == 0


def test_missing_library_is_said_before_the_store_is_opened(
    fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "store.cli.top.frame", raising=False)
    monkeypatch.delattr("store.cli.top.frame", raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    fails(1, "needs rich, which is not installed: pip install '.[cli]'", "top", tmp_path / "nothing.db")


@pytest.mark.parametrize(("columns", "lines", "least"), [(40, 24, 1), (80, 24, 6), (120, 24, 10)])
def test_lists_fill_the_terminal(path: Path, rich: None, columns: int, lines: int, least: int) -> None:
    """Two lists stand beside each other in a terminal of 80 columns, which has too few lines for one below the other."""
    from io import StringIO

    from rich.console import Console

    from store.cli.top.frame import frame

    with Store[Any](path) as s:
        for number in range(20):
            s.put(f"name {number:02}", number, ttl=100 + number)
        sample = Sampler(s.opened, None).sample()
    out = StringIO()
    Console(file=out, width=columns).print(frame("app.db", sample, columns, lines))
    drawn = out.getvalue().splitlines()
    assert len(drawn) < lines and max(map(len, drawn)) <= columns
    assert all(any(heading in line for line in drawn) for heading in ("largest", "newest", "soon to expire"))
    assert sum(line.count("name ") for line in drawn) >= 3 * least


@pytest.mark.parametrize("columns", [20, 40, 79, 120, 200])
def test_no_line_is_wider_than_the_terminal(run: Any, path: Path, monkeypatch: Any, rich: None, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with Store[Any](path) as s:
        for name in ("n" * 500, "[bold red]markup[/]", "\x1b[31mred\x07", "日本語" * 50, "", ":smile:", "[/]"):
            s.put(name, name, ttl=100)
    result = run("top", path, *ONCE)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.out and "\x07" not in result.out
    from rich.cells import cell_len

    assert max(map(cell_len, result.out.splitlines())) <= columns
    if columns >= 79:
        assert "[bold red]" in result.out and ":smile:" in result.out


@pytest.mark.slow
def test_output_that_is_ascii_only(path: Path, rich: None) -> None:
    with Store[Any](path) as s:
        s["ä" * 300] = 1
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    command = [sys.executable, "-m", "store", "top", str(path), *ONCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u00e4" in done.stdout


# -- on a terminal


def on_a_terminal(path: Path, end: Callable[[int, int], object], keys: bytes = b"") -> tuple[int, str]:
    """The exit code and output of `store top`, which is ended once it has shown a second frame."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "90", "LINES": "30", "NO_COLOR": "1"}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execv(sys.executable, [sys.executable, "-m", "store", "top", str(path), "--interval", "0.05"])
    shown, is_ending = b"", False
    try:
        while select.select([terminal], [], [], SECONDS)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # the end, on Linux
                break
            if not more:
                break
            shown += more
            if not is_ending and shown.count(b"reads/s") >= 2:
                end(child, terminal)
                is_ending = True
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda child, terminal: os.write(terminal, b"xq"), 0),
        (lambda child, terminal: os.kill(child, signal.SIGINT), 130),
        (lambda child, terminal: os.kill(child, signal.SIGTERM), 143),
    ],
    ids=["q", "Ctrl-C", "SIGTERM"],
)
@pytest.mark.slow
def test_frames_follow_each_other_until_it_is_ended(path: Path, end: Any, code: int, rich: None) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        found, shown = on_a_terminal(path, end)
    assert found == code, shown
    assert shown.count("reads/s") >= 2 and "q ends" in shown
    assert "Traceback" not in shown
    assert shown.index("\x1b[?1049h") < shown.index("\x1b[?1049l"), "it leaves the screen as it was"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
@pytest.mark.slow
def test_store_that_is_deleted_ends_it_with_an_error(path: Path, rich: None) -> None:
    Store[Any](path).close()
    code, shown = on_a_terminal(path, lambda child, terminal: path.unlink())
    assert code == 1
    assert "was deleted" in shown.rpartition("\x1b[?1049l")[2] and "Traceback" not in shown
