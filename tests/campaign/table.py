"""The table of promises, as Markdown, from the figures that a campaign has written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .campaign import Tally

FIGURES, TABLE = "promises.json", "promises.md"
SHOWN = 300  # characters of a failure


@dataclass(frozen=True, slots=True)
class Run:
    """One campaign: its seed, length, place and figures; and what was run again after it."""

    date: str
    seed: int
    hours: float
    jobs: int
    machine: list[str]
    tallies: list[Tally]
    again: list[str] = field(default_factory=list)

    def with_again(self, other: Run) -> Run:
        """These figures, but for the promises of `other`, a later campaign over what failed here and was mended.

        Promises that this campaign did not have come behind its own.
        """
        later = {tally.key: tally for tally in other.tallies}
        told = [*self.again, *(_told(tally, other) for tally in self.tallies if tally.key in later)]
        tallies = [later.pop(tally.key, tally) for tally in self.tallies]
        added = [f"`{key}` was added: {_call(key, other)}" for key in later]
        return replace(self, tallies=[*tallies, *later.values()], again=[*told, *added])


def _told(before: Tally, later: Run) -> str:
    return (
        f"`{before.key}`, of which {len(before.failures)} in {before.trials:,} {before.unit} failed, was mended and run "
        f"again: {_call(before.key, later)}"
    )


def _call(key: str, run: Run) -> str:
    return f"{run.date}, `--hours {run.hours:g} --seed {run.seed} --jobs {run.jobs} --only {key}`"


def write(folder: Path, run: Run) -> None:
    """promises.json and promises.md in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / TABLE).write_text(markdown(run), "utf-8")


def read(folder: Path) -> Run:
    """What `write` wrote."""
    found = json.loads((folder / FIGURES).read_text("utf-8"))
    return Run(**{**found, "tallies": [Tally(**tally) for tally in found["tallies"]]})


def markdown(run: Run) -> str:
    rows = [_row(tally) for tally in run.tallies]
    failures = [f"- {failure[:SHOWN]}" for tally in run.tallies for failure in tally.failures]
    lines = [
        "# Promises", "",
        f"{run.date}: `python -m tests.campaign --hours {run.hours:g} --seed {run.seed} --jobs {run.jobs}` wrote this table;",
        "a round that failed can be seen again with `python -m tests.campaign --round NAME --seed SEED`.", "",
        *run.machine, "",
        *([*(f"- {line}" for line in run.again), ""] if run.again else []),
        "| promise | how it is tested | trials | failures | so a trial fails in |", "|---|---|---:|---:|---:|",
        *rows, "",
        "No failure in N trials means, with 95 % confidence, that fewer than 3/N of such trials fail (the *rule of three*:",
        "the chance of none in N is (1 − p)^N, which is 0.05 for p near 3/N). It says nothing of what was not tried: of",
        "other kernels, file systems and disks, and of disks that say a sync is done before it is.",
    ]  # fmt: skip
    return "\n".join([*lines, *(["", "Failures:", "", *failures] if failures else [])]) + "\n"


def _row(tally: Tally) -> str:
    name, how = f"{tally.promise} (`{tally.key}`)", " ".join(tally.how.split())
    if tally.skipped or not tally.trials:
        return f"| {name} | {how} | not tried: {tally.skipped or 'no time'} | | |"
    found = len(tally.failures)
    return f"| {name} | {how} | {tally.trials:,} {tally.unit} | {found} | {bound(tally.trials, found)} |"


def bound(trials: int, failures: int) -> str:
    """How often a trial fails at most, as far as that many say."""
    return f"{failures / trials:.2g}, as seen" if failures else f"fewer than {3 / trials:.1g}"


def problems(tallies: Iterable[Tally]) -> list[str]:
    """Why a campaign is no proof: what failed, and what was not tried."""
    found = []
    for tally in tallies:
        found += [failure.splitlines()[0] for failure in tally.failures]
        if not tally.trials:
            found.append(f"{tally.key} was not tried: {tally.skipped or 'there was no time for a round'}")
    return found
