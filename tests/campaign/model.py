"""The model test: two processes, and dicts that say what they must see."""

from __future__ import annotations

import traceback
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .model_machine import StoreAndDict
from .model_remote import SecondProcess
from .trial import Promise, Round

STEPS = 50
EXAMPLES = 60  # of a round


def run_model(examples: int, random: int | None = None) -> None:
    """So many histories of STEPS steps; `random` makes them others than the last time."""

    class Machine(StoreAndDict):
        second = SecondProcess()

    try:
        run_state_machine_as_test(
            Machine if random is None else seed(random)(Machine),
            settings=settings(
                max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    finally:
        Machine.second.close()


def run(rng: Random, folder: Path) -> Round:
    """Some histories; of one that fails, the shortest that Hypothesis finds."""
    random = rng.getrandbits(64)
    try:
        run_model(EXAMPLES, random)
    except Exception as exc:  # an assertion, or an error that no rule expects
        notes = "\n".join(getattr(exc, "__notes__", []))
        return Round(EXAMPLES, [f"seed {random}: {''.join(traceback.format_exception(exc))[-3000:]}\n{notes}"])
    return Round(EXAMPLES)


MODEL = Promise(
    "model",
    "A store behaves as a dict does, in two processes at once, with transactions, lifetimes, large values, another "
    "key, and damage.",
    f"Histories of {STEPS} random operations, each on one of several handles, one of them in another process; after "
    "each step all of them must show what a dict says. A failure is any difference.",
    "histories",
    run,
)
