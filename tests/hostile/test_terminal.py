"""Every command on a terminal, on a store of hostile names and values: nothing of it is obeyed, and all of it ends."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_names import MARKER, OWN, PIECES, RUNS, plant, text

from store.cli import SECTIONS

pytestmark = [
    pytest.mark.damaged,
    pytest.mark.filterwarnings("ignore:.*sealed with a key"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and terminals as Linux has them"),
]

HERE = Path(__file__).parent
OURS = ("\x1b[?25l", "\x1b[?25h", "\x1b[K")  # click's progress bars: no hostile text here has them
# "DB" is a copy of the planted store, "NAME" one of its names, "TEXT" any hostile text, "NEW" a path where nothing is.
LINES = """
ls DB · ls DB --long · ls DB --json · ls DB --prefix TEXT · ls DB --namespace TEXT · ls DB --after NAME --sort size
records DB · records DB --long --utc · records DB --json · namespaces DB · namespaces DB --json · cache stats DB · cache cull DB · cache evict DB TEXT · cache clear DB --yes · info DB · info DB --json
info DB -- NAME · info DB --json -- NAME · stats DB · stats DB --json · inspect DB -- NAME · inspect DB -- TEXT
get DB -- NAME · get DB --json -- NAME · get DB --raw -- NAME · get DB tower · get DB tower --json · get DB good
get DB -- TOWER · get DB --json -- TOWER · get DB -- TOWER NAME
set DB -- NAME TEXT · set DB --text -- TEXT NAME · set DB x 1 --codec TEXT · set DB x 1 --ttl TEXT · set DB x TEXT
touch DB --ttl 60 -- NAME · touch DB --ttl TEXT x · purge DB · rm DB -- NAME · rm DB -- TEXT · rm DB --prefix TEXT
admit DB --all · admit DB --all --yes · admit DB -- NAME · verify DB · verify DB --quick --json · compact DB
recover DB NEW · recover DB NEW --json · backup DB NEW · restore DB NEW · export jsonl DB · export jsonl DB NEW
export shelve DB NEW · export pickles DB NEW · export --raw DB · export --raw DB NEW · export TEXT DB NEW
import pickles HOSTILE NEW · import pickles HOSTILE NEW --json · import json LINES NEW · import TEXT LINES NEW
import json LINES NEW --prefix TEXT · import --raw LINES NEW · import pickles HOSTILE NEW --allow TEXT
upgrade DB --dry-run · upgrade DB --codec json · upgrade DB --rename TEXT=TEXT · rekey DB · rekey DB --json · reshard DB NAME 2 · reshard DB TEXT 1 --kind memo
key show · key retire TEXT · settings show DB · settings show DB --json · settings export DB · settings set DB TEXT 1
settings set DB x TEXT · settings reset DB -- TEXT · settings import DB LINES --format json · settings export DB NEW
sessions count DB · sessions ls DB · sessions ls DB --json · sessions rm DB -- TEXT · sessions clear DB
copy DB NEW · destroy DB
top DB --once --interval 0.01 · top DB --json --interval 0.01 · watch DB --timeout 0.01 · watch DB --timeout 0.01 --json -- NAME
web DB --namespace TEXT --timeout 0.01 · web DB --token TEXT · web DB --host TEXT
demo --TEXT · TEXT · ls TEXT · ls DB TEXT
"""
COMMAND_LINES = [line.strip().split(" ") for line in LINES.replace("\n", " · ").split("·") if line.strip()]


class Terminal:
    """Runs commands on copies of a planted store."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, names: list[str], seed: int) -> None:
        self._process, self._folder, self._names = process, folder, names
        self._random = random.Random(seed)
        self._count = 0

    def run(self, words: list[str]) -> tuple[list[str], dict[str, Any]]:
        """The arguments that the words stand for, and what came of them."""
        arguments = self._arguments(words)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return arguments, answer

    def _arguments(self, words: list[str]) -> list[str]:
        self._count += 1
        scratch = self._folder / f"scratch{self._count}"
        scratch.mkdir()
        hostile = self._random.choice(RUNS[:2])  # a folder's name is shown as well, and it is there
        made = shutil.copytree(self._folder / "planted", scratch / f"{hostile}\x1b[2J".replace("/", ""))
        places = {"DB": made / "app.db", "NEW": made / "new", "HOSTILE": made / "pickles", "LINES": made / "lines.json"}
        return [self._word(word, places) for word in words]

    def _word(self, word: str, places: dict[str, Path]) -> str:
        if word in places:
            return str(places[word])
        if word == "TOWER":
            return "own tower"
        while "TEXT" in word:
            word = word.replace("TEXT", text(self._random).replace("\0", ""), 1)
        return self._random.choice(self._names).replace("\0", "") if word == "NAME" else word


def make_folder(folder: Path, seed: int) -> list[str]:
    """What the commands are given: a store, pickles and JSON lines under names of the hostile kind."""
    folder.mkdir()
    names = plant(folder / "app.db", seed)
    (folder / "pickles").mkdir()
    for number, name in enumerate(names):
        file = name.replace("/", "").replace("\0", "")[:60] or "x"
        (folder / "pickles" / f"{number}{file}.pickle").write_bytes(pickle.dumps(name)[: -(number % 2) or None])
    lines = [json.dumps({"name": name, "value": [name]}) for name in names]
    (folder / "lines.json").write_text("\n".join(lines))
    return names


@pytest.fixture
def terminal(tmp_path: Path, seed: int) -> Iterator[Terminal]:
    """Started where a marker would be made, with the key of one half of the records."""
    names = make_folder(tmp_path / "planted", seed)
    key = tmp_path / "key"
    key.write_bytes(OWN)
    environment = {
        **os.environ, "STORE_KEY": OWN.decode(), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    (tmp_path / "here").mkdir()
    with subprocess.Popen(
        [sys.executable, str(HERE / "on_a_terminal.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path / "here",
    ) as process:  # fmt: skip
        yield Terminal(process, tmp_path, names, seed)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def obeyed(shown: str) -> set[str]:
    """The characters that a terminal obeys, or that make text look like another one."""
    for sequence in OURS:
        shown = shown.replace(sequence, "")
    return {char for char in shown if not char.isprintable() and char not in "\r\n\t"}


def faults(arguments: list[str], answer: dict[str, Any], folder: Path) -> list[str]:
    """What a command on a terminal must not do."""
    shown = answer["shown"]
    wrong = {
        f"it ended with {answer['code']}": answer["code"] not in (0, 1, 2),
        "it failed in a way of its own": "Traceback" in shown,
        f"the terminal obeys {sorted(obeyed(shown))}": bool(obeyed(shown)),
        "a line was forged": any(line.startswith("store: all is well") for line in shown.splitlines()),
        "it shows far more than there is": len(shown) > 5_000_000,
        "a name was run": any(MARKER in files for _, _, files in os.walk(folder)),
    }
    return [f"{fault}: {arguments}\n{shown[-2000:]}" for fault, found in wrong.items() if found]


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1])
def test_every_command_shows_hostile_names_harmlessly(terminal: Terminal, tmp_path: Path) -> None:
    for words in COMMAND_LINES:
        assert faults(*terminal.run(words), tmp_path) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.heavy if seed < 101 else pytest.mark.huge) for seed in range(100, 120)]
)
def test_every_command_shows_hostile_names_harmlessly_at_length(terminal: Terminal, tmp_path: Path) -> None:
    for words in COMMAND_LINES:
        assert faults(*terminal.run(words), tmp_path) == []


@pytest.mark.parametrize("seed", [2])
@pytest.mark.slow
def test_what_would_be_obeyed_or_run_is_seen_by_the_harness(terminal: Terminal, tmp_path: Path) -> None:
    for piece in PIECES:
        if not piece.isprintable() and piece not in "\r\n\t" and "\r" not in piece:
            assert faults([], {"code": 0, "shown": f"a {piece} b"}, tmp_path), repr(piece)
    assert faults([], {"code": 0, "shown": "x\r\nstore: all is well\r\n"}, tmp_path)
    for piece in RUNS[:2]:
        subprocess.run(["sh", "-c", f"echo {piece}"], cwd=tmp_path / "here", check=True, stdout=subprocess.DEVNULL)
        assert faults([], {"code": 0, "shown": ""}, tmp_path)
        (tmp_path / "here" / MARKER).unlink()
    assert not faults([], terminal.run(["get", "DB", "good"])[1], tmp_path)
    assert terminal.run(["get", "DB", "good"])[1]["shown"].splitlines()[-1] == '"good"'


def test_every_command_is_tried() -> None:
    assert {words[0] for words in COMMAND_LINES} >= {name for commands in SECTIONS.values() for name in commands}
