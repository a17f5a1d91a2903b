"""The campaign shares its time fairly, counts what it finds, and its table says what was found."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from . import table
from .__main__ import COMMITTED, ELSEWHERE, arguments, output_of
from .campaign import Campaign, Tally
from .promises import PROMISES
from .rounds import _without_places, run_apart
from .trial import Promise, Round


def promise(key: str) -> Promise:
    return Promise(key, f"{key} holds.", "By trying.", "trials", lambda rng, folder: Round(1))


class Rounds:
    """Rounds that take a time of their own, on a clock that only they move."""

    def __init__(self, **seconds: float) -> None:
        self.now, self.seconds, self.seeds = 0.0, seconds, []

    def clock(self) -> float:
        return self.now

    def __call__(self, promise: Promise, seed: int, kept: Path) -> Round:
        self.now += self.seconds[promise.key]
        self.seeds.append(seed)
        return Round(10, ["it broke"] if promise.key == "broken" else [])


def campaign(rounds: Rounds, seed: int = 1) -> Campaign:
    return Campaign([promise(key) for key in rounds.seconds], seed, Path("nowhere"), clock=rounds.clock, run=rounds)


def test_time_is_shared_by_what_rounds_take(tmp_path):
    rounds = Rounds(slow=30, quick=5)
    runs = campaign(rounds)
    runs.run(600, 1, lambda line: None)
    assert runs.tallies["slow"].rounds == 10
    assert runs.tallies["quick"].rounds == 60
    assert runs.tallies["quick"].trials == 600


def test_seeds_follow_from_the_first_one():
    one, same, other = Rounds(a=1), Rounds(a=1), Rounds(a=1)
    for rounds, seed in ((one, 1), (same, 1), (other, 2)):
        campaign(rounds, seed).run(10, 1, lambda line: None)
    assert one.seeds == same.seeds != other.seeds
    assert len(set(one.seeds)) == 10


def test_failures_are_counted_said_and_can_be_repeated():
    rounds, said = Rounds(broken=1), []
    runs = campaign(rounds)
    runs.run(2, 1, said.append)
    tally = runs.tallies["broken"]
    assert tally.failures == [f"--round broken --seed {seed}: it broke" for seed in rounds.seeds]
    assert "1 FAILED" in said[0] and "it broke" in said[0] and str(rounds.seeds[0]) in said[0]
    assert table.problems(runs.tallies.values()) == tally.failures


def test_what_cannot_be_tried_here_gets_no_more_time_and_is_told():
    runs = Campaign([promise("a")], 1, Path("nowhere"), run=lambda *_: Round(skipped="no compiler"))
    runs.run(60, 2, lambda line: None)
    assert runs.tallies["a"].rounds <= 2
    assert table.problems(runs.tallies.values()) == ["a was not tried: no compiler"]


def tallies() -> list[Tally]:
    held = Tally("held", "It holds.", "By\n trying.", "kills", 3, 3_000)
    broken = Tally("broken", "It does not.", "By trying.", "cuts", 1, 100, 1.0, ["--round broken --seed 5: lost 'a'"])
    return [held, broken, Tally("absent", "Who knows.", "By trying.", "states", skipped="no compiler")]


def test_table_says_what_was_found():
    text = table.markdown(table.Run("2026-01-02", 7, 1.5, 2, ["- a machine"], tallies()))
    assert "| It holds. (`held`) | By trying. | 3,000 kills | 0 | fewer than 0.001 |" in text
    assert "| It does not. (`broken`) | By trying. | 100 cuts | 1 | 0.01, as seen |" in text
    assert "| not tried: no compiler |" in text
    assert "- --round broken --seed 5: lost 'a'" in text
    assert "2026-01-02: `python -m tests.campaign --hours 1.5 --seed 7 --jobs 2`" in text


def test_table_is_written_from_its_figures(tmp_path):
    run = table.Run("2026-01-02", 7, 1.5, 2, ["- a machine"], tallies())
    table.write(tmp_path, run)
    assert table.read(tmp_path) == run
    assert (tmp_path / table.TABLE).read_text("utf-8") == table.markdown(run)


def test_what_was_mended_and_run_again_replaces_its_row_and_is_told(tmp_path):
    run = table.Run("2026-01-02", 7, 1.5, 2, ["- a machine"], tallies())
    held = Tally("broken", "It holds now.", "By trying.", "cuts", 9, 900)
    table.write(tmp_path, run.with_again(table.Run("2026-01-03", 8, 0.2, 1, [], [held])))
    text = (tmp_path / table.TABLE).read_text("utf-8")
    assert "| It holds now. (`broken`) | By trying. | 900 cuts | 0 |" in text
    assert "`broken`, of which 1 in 100 cuts failed, was mended and run again: 2026-01-03, `--hours 0.2 --seed 8" in text
    assert "3,000 kills" in text and "Failures:" not in text
    assert table.markdown(table.read(tmp_path)) == text


def test_promise_that_is_new_is_added_behind_the_others():
    run = table.Run("2026-01-02", 7, 1.5, 2, ["- a machine"], tallies())
    new = Tally("new", "It holds too.", "By trying.", "kills", 9, 27)
    added = run.with_again(table.Run("2026-01-03", 8, 0.2, 1, [], [new]))
    assert [tally.key for tally in added.tallies] == ["held", "broken", "absent", "new"]
    assert added.again == ["`new` was added: 2026-01-03, `--hours 0.2 --seed 8 --jobs 1 --only new`"]


def test_committed_table_is_of_a_campaign_over_all_promises_and_was_not_typed():
    run = table.read(COMMITTED)
    assert (COMMITTED / table.TABLE).read_text("utf-8") == table.markdown(run)
    assert [tally.key for tally in run.tallies] == [promise.key for promise in PROMISES]
    assert run.hours >= 1
    readme = Path(__file__).parents[2] / "README.md"
    assert f"(tests/campaign/{table.TABLE})" in readme.read_text("utf-8")


def test_only_a_long_campaign_over_everything_writes_where_the_readme_looks():
    assert output_of(arguments(["--hours", "1"])) == COMMITTED
    assert output_of(arguments(["--hours", "0.5"])) == ELSEWHERE
    assert output_of(arguments(["--hours", "2", "--only", PROMISES[0].key])) == ELSEWHERE
    assert output_of(arguments(["--hours", "0.1", "--only", PROMISES[0].key, "--again"])) == COMMITTED


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--only", "nonsense"], "no promise 'nonsense'"), ([], "say for how long"), (["--hours", "long"], "invalid float")],
)
def test_wrong_words_are_told(words, said, capsys):
    with pytest.raises(SystemExit):
        arguments(words)
    assert said in capsys.readouterr().err


def test_keys_are_words_of_their_own_and_texts_are_sentences():
    assert len({promise.key for promise in PROMISES}) == len(PROMISES)
    for each in PROMISES:
        assert re.fullmatch("[a-z][a-z-]*", each.key) and each.promise.endswith(".") and each.how.endswith(".")


@pytest.mark.slow
def test_round_that_dies_is_a_failure(tmp_path):
    result = run_apart(promise("nobody"), 1, tmp_path)
    assert len(result.failures) == 1
    assert "the round ended with 2" in result.failures[0] and "no promise 'nobody'" in result.failures[0]
    assert (tmp_path / "nobody-1" / "failures.txt").read_text("utf-8").startswith("the round ended with 2")


def test_failure_tells_no_place_of_this_machine(tmp_path):
    root, place = Path(__file__).parents[2], tmp_path / "round"
    assert _without_places(f'File "{root}/store/a.py": {place}/app.db', place) == 'File "store/a.py": app.db'


def test_round_that_hangs_is_a_failure(tmp_path):
    result = run_apart(promise("nobody"), 1, tmp_path, limit=0.0)
    assert result.failures[0].startswith("the round did not end within 0 seconds")


@pytest.mark.heavy
def test_round_has_a_home_of_its_own(tmp_path):
    """The first promise of all, as the campaign does it."""
    first = PROMISES[0]
    result = run_apart(first, Random(3).getrandbits(32), tmp_path)
    assert result.failures == [] and (result.trials > 0 or result.skipped)
