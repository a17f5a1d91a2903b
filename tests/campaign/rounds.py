"""A round in a process of its own, with a home of its own: one that hangs or dies is a failure, not the end of it all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from .trial import Promise, Round

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 300.0  # a round takes some 10; one that takes this long hangs
SHOWN = 4_000  # characters of what a round that died had to say


def run_apart(promise: Promise, seed: int, kept: Path, limit: float = LIMIT_SECONDS) -> Round:
    """The round in a process of its own. What one with failures leaves behind is moved to the folder `kept`."""
    place = Path(tempfile.mkdtemp(prefix="store-crash-"))
    try:
        result = _watched(promise.key, seed, place, limit)
        result.failures = [_without_places(failure, place) for failure in result.failures]
        if result.failures:
            _keep(place, kept / f"{promise.key}-{seed}", result)
        return result
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _watched(key: str, seed: int, place: Path, limit: float) -> Round:
    command = [sys.executable, "-m", "tests.campaign", "--round", key, "--seed", str(seed), "--folder", str(place / "round")]
    with open(place / "output", "wb+") as output:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, env=_environment(place),
            start_new_session=True,
        ) as child:  # fmt: skip
            try:
                said, _ = child.communicate(timeout=limit)
                trouble = f"ended with {child.returncode}" if child.returncode else ""
            except subprocess.TimeoutExpired:
                said, trouble = b"", f"did not end within {limit:g} seconds"
            finally:
                _end_group(child.pid)  # and with it what the round started
        if not trouble:
            return Round(**json.loads(said.splitlines()[-1]))
        output.seek(0)
        return Round(trials=1, failures=[f"the round {trouble}\n{output.read().decode(errors='replace')[-SHOWN:]}"])


def _without_places(text: str, place: Path) -> str:
    """Where this machine keeps things is nobody's business, and the text may stand in the table."""
    return text.replace(f"{place}{os.sep}", "").replace(f"{ROOT}{os.sep}", "")


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _environment(place: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    for name, folder in (("HOME", "home"), ("XDG_DATA_HOME", "data"), ("TMPDIR", "tmp"), (None, "round")):
        (place / folder).mkdir()
        if name is not None:  # the last is where the round works
            environment[name] = str(place / folder)
    return environment


def _keep(place: Path, target: Path, result: Round) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(place, target)
    (target / "failures.txt").write_text("\n\n".join(result.failures) + "\n", "utf-8")


def report(result: Round) -> None:
    """The line that `run_apart` reads."""
    print(json.dumps(asdict(result)), flush=True)
