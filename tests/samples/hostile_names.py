"""A store whose names, namespaces, types, codecs, values and keys are those of somebody who means harm to a terminal."""

from __future__ import annotations

import pickle
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import planted_names

from store import Store

MARKER = "MARKER-OF-THE-HOSTILE-NAME"
RUNS = [f"$(touch {MARKER})", f"`touch {MARKER}`", f"';touch {MARKER};'", f'";touch {MARKER};"', f";touch {MARKER} #"]
PIECES = [
    *RUNS, "\x1b]0;owned\x07", "\x1b[2J\x1b[H", "\x1b[?1049h", "\x9b31m", "\x90q\x9c", "\u202edesrever\u202c", "\u2066x\u2069",
    "\u200b", "\ufeff", "\u2028", "\r\nstore: all is well\r\n", "\n", "\t", "\x08\x08\x08", "\x7f", "\x00", "--help",
    "-rf", "--yes", "-", "[red]markup[/red]", "[link=file:///etc/passwd]x[/link]", "{0}", "%s%n", "é", "漢字", "🙂", "x" * 3000,
    " ", "..", "/", "../../x", "=cmd", "\\", "'", '"', "None", "name",
]  # fmt: skip
OWN, OTHER = b"the key of whoever runs the command", b"the key of somebody else, as long"
RECORDS = 24
TOWERS = ("tower", "own tower")


def text(source: random.Random) -> str:
    """Some pieces, one behind the other."""
    return "".join(source.choices(PIECES, k=source.randint(1, 4)))


def value(source: random.Random) -> Any:
    """Plain data of such texts."""
    made: Any = text(source)
    for _ in range(source.randint(0, 3)):
        made = source.choice([[made, text(source)], {text(source): made}, (made, 1), {made: 2} if type(made) is str else [made]])
    return made


def tower(depth: int = 40) -> Any:
    """A list that is twice in a list, and so on: hundreds of bytes in a pickle, and a terabyte as text."""
    made: Any = []
    for _ in range(depth):
        made = [made, made]
    return made


def global_of(source: random.Random) -> bytes:
    """A pickle that calls something of a hostile name."""
    module, name = (text(source).encode() for _ in range(2))
    parts = [b"X" + len(part).to_bytes(4, "little") + part for part in (module, name)]
    return b"\x80\x04" + b"".join(parts) + b"\x93)R."


def plant(path: Path, seed: int) -> list[str]:
    """Makes a store of such records, all in the unnamed namespace and some beside it; the names of the former."""
    source = random.Random(seed)
    names = ["good", "tower", "own tower", *dict.fromkeys(text(source) for _ in range(RECORDS))]
    for key, chosen in ((OWN, names[::2]), (OTHER, names[1::2])):
        with Store(path, key=key, mode="c") as s:
            given = {name: "good" if name == "good" else tower() if name in TOWERS else value(source) for name in chosen}
            planted_names.plant(s, given)
            planted_names.plant(s, {text(source): value(source)}, text(source))
            s.within("settings").update(tower=tower(), nice=1, title=text(source))
            planted_names.plant(s, {text(source): value(source)}, "sessions")
    with closing(sqlite3.connect(path)) as conn:
        _alter(conn, source)
        conn.commit()
    return names


def _alter(conn: sqlite3.Connection, source: random.Random) -> None:
    """Columns that anybody who can write the file can set: what is shown of a record without its value."""
    ids = [number for (number,) in conn.execute("SELECT id FROM records WHERE name NOT IN ('good', 'tower', 'own tower')")]
    for number in ids:
        column, found = source.choice([
            ("type", text(source)), ("python", text(source)), ("codec", text(source)), ("body", global_of(source)),
            ("body", pickle.dumps(text(source))[:-4]), ("type", None), ("codec", "json"), ("codec", "yaml"), ("codec", "numpy"),
        ])  # fmt: skip
        conn.execute(f"UPDATE records SET {column} = ? WHERE id = ?", (found, number))
