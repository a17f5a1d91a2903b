"""A backup while another thread writes, and back again after a mistake; the program has the store open all the time.

Run it from anywhere:

    python examples/backup.py
"""

import tempfile
import threading
from pathlib import Path

import store
from store import Store


def transfer(s: Store, stop: threading.Event) -> None:
    """Between two accounts, whose sum is always 100."""
    while not stop.is_set():
        with s.transaction():
            s["alice"] -= 1
            s["bob"] += 1


def main(folder: Path) -> None:
    with Store(folder / "app.db") as s:
        s.update({"alice": 100, "bob": 0, "photo": bytes(8_000_000)})

        stop = threading.Event()
        thread = threading.Thread(target=transfer, args=(s, stop))
        thread.start()
        steps = []
        made = s.backup(folder / "backup.db", progress=lambda done, total: steps.append(done / total))
        stop.set()
        thread.join()
        print(f"{made.records} records, {made.files} large one, in steps up to {steps[-1]:.0%}")

        with Store(folder / "backup.db", mode="r") as backup:
            print("alice and bob have", backup["alice"] + backup["bob"], "at that moment")

        s.clear()
        print("after a mistake:", len(s), "records")
        store.restore(folder / "backup.db", folder / "app.db")
        print("restored:", sorted(s), "with", s["alice"] + s["bob"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
