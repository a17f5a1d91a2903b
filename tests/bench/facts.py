"""The facts behind the README's table: the same trials on this store and on the libraries that people use instead.

    pip install '.[peers,joblib]' && python tests/bench/facts.py

Each trial uses a peer as its own documentation does. Real processes; nothing here measures speed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

PROCESSES, ROUNDS = 8, 100
CALLERS = 4  # processes that want the same result

PROGRAMS = {
    "store": {
        "open": "from store import Store\ns = Store(path)\n",
        "add": "s.modify('n', lambda n: n + 1, 0)\n",
        "get": "s.get('n')",
        "set": "s[name] = 'x' * 100\n",
        "close": "s.close()\n",
    },
    "shelve": {
        "open": "import shelve\ns = shelve.open(path)\n",
        "add": "s['n'] = s.get('n', 0) + 1\n",
        "get": "s.get('n')",
        "set": "s[name] = 'x' * 100\n",
        "close": "s.close()\n",
    },
    "sqlitedict": {
        "open": "from sqlitedict import SqliteDict\ns = SqliteDict(path, autocommit=True)\n",
        "add": "s['n'] = s.get('n', 0) + 1\n",
        "get": "s.get('n')",
        "set": "s[name] = 'x' * 100\n",
        "close": "s.close()\n",
    },
    "diskcache": {
        "open": "from diskcache import Cache\ns = Cache(path)\n",
        "add": "with s.transact():\n    s['n'] = s.get('n', 0) + 1\n",
        "get": "s.get('n')",
        "set": "s[name] = 'x' * 100\n",
        "close": "s.close()\n",
    },
}

MEMOS = {
    "store": "from store.memo import memo\ndecorate = memo(path)\n",
    "diskcache": "from diskcache import Cache\ndecorate = Cache(path).memoize()\n",
    "joblib": "from joblib import Memory\ndecorate = Memory(path, verbose=0).cache\n",
}
SLOW = """
import time
@decorate
def slow(x):
    print("computed")
    time.sleep(2)  # long enough for the others to call meanwhile
    return x
slow(1)
"""


def script(peer: str, body: str) -> list[str]:
    return [sys.executable, "-c", f"import sys\npath = sys.argv[1]\n{PROGRAMS[peer]['open']}{body}"]


def run(peer: str, body: str, path: Path) -> str:
    done = subprocess.run([*script(peer, body), str(path)], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.strip() or "error: " + (done.stderr.strip().splitlines() or ["no output"])[-1]


def counter(peer: str, folder: Path) -> str:
    """8 processes add 1 to one counter 100 times each, in the way the peer offers."""
    path = folder / "counter"
    run(peer, PROGRAMS[peer]["close"], path)
    indented = "".join("    " + line + "\n" for line in PROGRAMS[peer]["add"].splitlines())
    body = f"for _ in range({ROUNDS}):\n{indented}{PROGRAMS[peer]['close']}"
    workers = [
        subprocess.Popen([*script(peer, body), str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(PROCESSES)
    ]
    failed = sum(worker.wait(timeout=300) != 0 for worker in workers)
    total = run(peer, f"print({PROGRAMS[peer]['get']})\n", path)
    return f"{total} of {PROCESSES * ROUNDS}" + (f", {failed} processes failed" if failed else "")


def killed(peer: str, folder: Path) -> str:
    """A writer is killed after its 500th write has returned; how many of the 500 a new process finds."""
    path = folder / "killed"
    body = (
        "for i in range(10**9):\n    name = str(i)\n    " + PROGRAMS[peer]["set"].strip()
        + "\n    print(i, flush=True)\n"
    )  # fmt: skip
    writer = subprocess.Popen([*script(peer, body), str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if line.strip() == "499":
            os.kill(writer.pid, signal.SIGKILL)
            break
    writer.stdout.close()
    writer.wait(timeout=60)
    return run(peer, "print(sum(str(i) in s for i in range(500)), 'of 500')\n", path)


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def planted(peer: str, folder: Path) -> str:
    """Somebody puts a pickle that runs a function into the file; a program reads that name."""
    path, marker = folder / "planted", folder / "marker"
    if peer == "joblib":
        return planted_result(folder, marker)
    run(peer, "name = 'k'\n" + PROGRAMS[peer]["set"] + PROGRAMS[peer]["close"], path)
    body = pickle.dumps(Exploit(marker))
    if peer == "shelve":
        import dbm

        with dbm.open(str(path), "w") as db:
            db[b"k"] = body
    else:
        file = path / "cache.db" if peer == "diskcache" else path
        with closing(sqlite3.connect(file)) as db, db:
            if peer == "store":
                db.execute("UPDATE records SET body = ?", [body])
                # somebody who knows the format makes the checksum fit, and names a key of his own
                forge(db, path)
            elif peer == "sqlitedict":
                db.execute("UPDATE unnamed SET value = ?", [body])
            else:
                db.execute("UPDATE Cache SET value = ?, mode = 4, filename = NULL", [body])
    outcome = run(peer, "print(repr(s['k'])[:40])\n", path)
    return "runs it" if marker.exists() else f"does not run it ({outcome[:60]})"


def planted_result(folder: Path, marker: Path) -> str:
    """The same where the pickle is the stored result of a call."""
    program = memo_program("joblib", folder, slow=0)
    subprocess.run(program, stdout=subprocess.DEVNULL, check=True, timeout=120)
    for result in (folder / "memo").rglob("output.pkl"):
        result.write_bytes(pickle.dumps(Exploit(marker)))
    subprocess.run(program, stdout=subprocess.DEVNULL, check=False, timeout=120)
    return "runs it" if marker.exists() else "does not run it"


def forge(db: sqlite3.Connection, path: Path) -> None:
    from store.engines.sqlite.statements import FIND
    from store.rows.row import Row
    from store.trust.keys.ring import Keyring
    from store.trust.seal import Sealer

    row = Row._make(db.execute(FIND, ("", "k")).fetchone())
    (store_id,) = db.execute("SELECT id FROM identity").fetchone()
    sealed = Sealer(Keyring("a stranger's key"), store_id).seal(row)
    db.execute("UPDATE records SET seal = ?, crc = ?", [sealed.seal, sealed.crc])


def order(peer: str, folder: Path) -> str:
    """Names come back in the order of insertion, and an update keeps its place."""
    path = folder / "order"
    body = "for name in ('b', 'a', 'c', 'b'):\n    " + PROGRAMS[peer]["set"].strip() + "\nprint(''.join(s))\n"
    return "yes" if run(peer, body, path) == "bac" else "no"


def memo_program(peer: str, folder: Path, slow: int = 2) -> list[str]:
    """A program that calls a function of which `peer` keeps the results; joblib wants one that is a file."""
    file = folder / "program.py"
    file.write_text(f"import sys\npath = sys.argv[1]\n{MEMOS[peer]}{SLOW.replace('sleep(2)', f'sleep({slow})')}")
    return [sys.executable, str(file), str(folder / "memo")]


def once(peer: str, folder: Path) -> str:
    """4 processes want the same result at once: how often it is computed."""
    if peer not in MEMOS:
        return "–"
    program = memo_program(peer, folder)
    callers = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(CALLERS)]
    return f"{sum(caller.communicate(timeout=120)[0].count('computed') for caller in callers)} times"


TRIALS = {
    "8 processes add to one counter": counter,
    "writer killed after 500 writes": killed,
    "reading a planted pickle": planted,
    "keeps insertion order": order,
    "4 processes want one result": once,
}
ONLY_RESULTS = {"joblib": (planted, once)}  # what can be tried where there are no names


def main() -> None:
    os.environ["STORE_KEY"] = "5" * 64
    peers = [peer for peer in (*PROGRAMS, "joblib") if peer in ("store", "shelve") or importlib.util.find_spec(peer)]
    versions = [
        f"{peer} {importlib.metadata.version('sealed-store' if peer == 'store' else peer)}"
        for peer in peers
        if peer != "shelve"
    ]
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, " + ", ".join(versions) + "\n")
    print("| |", " | ".join(peers), "|\n|---|" + "---|" * len(peers))
    for title, trial in TRIALS.items():
        cells = []
        for peer in peers:
            if trial not in ONLY_RESULTS.get(peer, TRIALS.values()):
                cells.append("–")
                continue
            with tempfile.TemporaryDirectory() as folder:
                cells.append(trial(peer, Path(folder)))
        print(f"| {title} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
