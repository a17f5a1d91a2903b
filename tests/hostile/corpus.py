"""The corpus of hostile streams, and of legitimate ones that look like them.

python tests/hostile/corpus.py                  # its list, as JSON
python tests/hostile/corpus.py --write FOLDER   # each stream as a file
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import arrays
import controls
import execution
import exhaustion
import malformed
import objects
import tampering
from assembler import Stream


def hostile() -> dict[str, Stream]:
    """By their full name, `family/name`."""
    made = [*execution.streams(), *tampering.streams(), *exhaustion.streams(), *malformed.streams(), *arrays.streams(),
            *objects.streams()]
    found = {f"{each.family}/{each.name}": each for each in made}
    assert len(found) == len(made), "two streams of one name"
    return found


def legitimate() -> dict[str, Stream]:
    """The controls, by their full name."""
    made = [(f"{each.family}/control of {each.name}", each) for each in (*controls.streams(), *arrays.controls(), *objects.controls())]
    found = dict(made)
    assert len(found) == len(made), "two controls of one name"
    return found


def everything() -> dict[str, Stream]:
    return {**hostile(), **legitimate()}


def main() -> None:
    parser = argparse.ArgumentParser(description="The corpus of hostile pickles.")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write each stream to a file of its own")
    folder = parser.parse_args().write
    if folder is None:
        listed = {"hostile": hostile(), "legitimate": legitimate()}
        print(json.dumps({kind: [_described(*item) for item in found.items()] for kind, found in listed.items()}))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in everything().items():
        (folder / (re.sub(r"[^\w.]+", "-", name) + ".pickle")).write_bytes(each.bytes())


def _described(name: str, each: Stream) -> dict[str, object]:
    return {
        "name": name, "family": each.family, "expect": sorted(each.expect), "executes": each.executes,
        "heavy": each.heavy,
    }  # fmt: skip


if __name__ == "__main__":
    main()
