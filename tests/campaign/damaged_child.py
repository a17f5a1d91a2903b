"""The process that reads damaged stores, and may die of one: `python -m tests.campaign.damaged_child`.

Its arguments are the template, a seed, the number of damages, and an empty folder. What it is reading just now is in
the file `now`; what came of all of them it prints as JSON.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.care.recover import recover
from store.engines.sqlite.opening import attach as sqlite_attach
from store.errors import StoreError

from .damage_kinds import KINDS, Damage
from .damage_reading import Judgement, Reading, judge, read
from .damage_templates import KEY, NOW, Template, make
from .sqlite_pages import Owner

EVERY = 40  # stores, of which one is given to `recover`
HANG_SECONDS = 100  # a read that takes longer will never end
TARGETS = {"logged": ["-wal"] * 3 + [""], "beside": [""]}  # else the database


class Child:
    """Damages one template again and again."""

    def __init__(self, template: Template, folder: Path) -> None:
        self.template = template
        self.path = folder / "app.db"
        self.now = os.open(folder / "now", os.O_RDWR | os.O_CREAT)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def run(self, rng: Random, count: int) -> None:
        """One damaged store after the other, until there were so many damages."""
        while self.counts["damages"] < count:
            seed = rng.getrandbits(64)
            files, damages = self.damaged(Random(seed))
            text = f"{self.template.key}, seed {seed}: " + "; ".join(f"{d.file or 'database'}: {d.what}" for d in damages)
            os.pwrite(self.now, text.encode() + b"\n", 0)
            os.ftruncate(self.now, len(text.encode()) + 1)
            self.write(files)
            signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
            try:
                problems = self.trial(damages)
            except Exception as exc:
                problems = [f"{type(exc).__name__} that is none of ours: {exc}"]
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not sqlite_attach._engines, "the next one would be read by what is open still"
            self.counts["damages"] += len(damages)
            self.counts["stores"] += 1
            self.failures += [f"{text}: {problem}" for problem in problems[:3]]

    def damaged(self, rng: Random) -> tuple[dict[str, bytes], list[Damage]]:
        """The files with one to five damages, most of them in one file."""
        files = {file: bytearray(content) for file, content in self.template.files.items()}
        damages = []
        # Several at once only where each is told from the others: in the payloads of records.
        payload = rng.random() < 0.6 and self.template.key != "logged"
        for _ in range(rng.randrange(2, 7) if payload else 1):
            file = self.target(rng)
            content = files[file]
            kind = rng.choice(KINDS[:15] if payload else KINDS)
            for _ in range(50):
                at = rng.randrange(len(content))
                if not payload or None not in self.template.owners_in(file, at, at + 1):
                    break
            before = bytes(content)
            what, spans = kind(rng, content, at)
            if payload and any(None in self.template.owners_in(file, *span) for span in spans):
                content[:] = before
                at = spans[0][0]
                what, spans = KINDS[0](rng, content, at)
            damages.append(Damage(file, what, spans))
        return {file: bytes(content) for file, content in files.items()}, damages

    def target(self, rng: Random) -> str:
        if self.template.key == "logged":
            return rng.choice(["-wal", "-wal", "-wal", ""])
        if self.template.key == "beside":
            return rng.choice(list(self.template.files))
        return ""

    def write(self, files: dict[str, bytes]) -> None:
        for file in ("-wal", "-shm", "-journal"):
            Path(f"{self.path}{file}").unlink(missing_ok=True)
        for file, content in files.items():
            target = Path(f"{self.path}{file}")
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)

    # -- what is asked of the answers

    def trial(self, damages: list[Damage]) -> list[str]:
        template = self.template
        if self.path.stat().st_size == 0 and "-wal" not in template.files:
            self.counts["cut to nothing"] += 1  # an empty file is a store that is yet to be made: nobody can tell
            return []
        hit = self.hit(damages)
        reading = read(template, self.path, self.counts["stores"], hit)
        if template.key == "logged" and damages[0].file == "-wal":
            return self.of_log(reading, damages[0])
        found = judge(template, reading, template.state)
        self.count(reading, found)
        problems = found.wrong
        if None not in hit:
            problems += self.rest_is_there(reading, found, hit)
        if (found.missing or found.stale or found.raised) and reading.opened and reading.verified:
            self.counts["not verified"] += 1
            problems += [f"verify finds nothing, and {text}" for text in [*found.missing, *found.stale, *reading.errors][:1]]
        if self.counts["stores"] % EVERY == 0 and template.key != "logged":
            problems += self.recovered(damages)
        return problems

    def recovered(self, damages: list[Damage]) -> list[str]:
        """What `recover` makes of it: all that was not hit, nothing else, and a list of the rest."""
        template, target = self.template, self.path.with_name("recovered.db")
        hit = {owner for d in damages for span in d.spans for owner in set(template.cells[d.file][slice(*span)])}
        shutil.rmtree(f"{target}-spill", ignore_errors=True)
        for file in (target, Path(f"{target}.lock")):
            file.unlink(missing_ok=True)
        try:
            report = recover(self.path, target, key=KEY, store_id=template.store_id)
        except StoreError as exc:
            self.counts["not recovered"] += 1
            return [] if hit >= set(template.state) else [f"recover raises {type(exc).__name__}: {exc}"]
        self.counts["recovered"] += 1
        problems = []
        listed = {(namespace, name) for namespace, name, _ in report.lost}
        with Store(target, key=KEY, clock=lambda: NOW, verify_buffers=True) as s:
            found = {(space, name): value for space in s.namespaces() for name, value in s.within(space).items()}
            sound = s.verify()
            # A key id that was hit makes a record nobody's, and a checksum beside a seal that holds is not in the way.
            if sound.tampered or sound.corrupt or sound.unfound or sound.files or sound.orphans:
                problems.append(f"the recovered store is not sound: {sound}")
        for owner, value in template.state.items():
            if owner in found:
                if found[owner] != value and (owner not in report.unsure or found[owner] not in template.older.get(owner, [])):
                    problems.append(f"{owner!r:.60} is recovered as {found[owner]!r:.80}")
            elif owner not in hit:
                problems.append(f"{owner!r:.60}, which was not hit, is not recovered: {report.lost!r:.200}")
            elif owner not in listed:
                self.counts["lost and not listed"] += 1
        for owner in set(found) - set(template.state):
            if owner not in report.unsure:
                problems.append(f"{owner!r:.60} comes from nowhere")
        return problems

    def hit(self, damages: list[Damage]) -> set[Owner | None]:
        return {owner for d in damages for span in d.spans for owner in self.template.owners_in(d.file, *span)}

    def rest_is_there(self, reading: Reading, found: Judgement, hit: set[Owner | None]) -> list[str]:
        """Only payloads of some records are damaged: all else is as it was."""
        self.counts["payload only"] += 1
        if not reading.opened:
            return [f"it does not open: {reading.errors}"]
        template = self.template
        problems = [f"missing: {text}" for text in found.missing] + [f"stale: {text}" for text in found.stale]
        if any(length is not None and not isinstance(length, int) for length in reading.lengths.values()):
            problems.append("len raises")
        from .damage_reading import RAISED

        for (way, owner), answer in reading.answers.items():
            if owner in template.state and owner not in hit and answer is RAISED:
                problems.append(f"{way} of {owner!r:.60}, which is not damaged, raises: {reading.errors[:2]}")
        return problems

    def of_log(self, reading: Reading, damage: Damage) -> list[str]:
        """What is behind the damage in the log may be gone, as a whole; what is before it is there."""
        template = self.template
        first = min(start for start, _ in damage.spans)
        least = max((n for n, end in enumerate(template.log_ends) if end <= first), default=0)
        if not reading.opened:
            self.counts["not opened"] += 1
            return []
        for number in range(len(template.states) - 1, least - 1, -1):
            found = judge(template, reading, template.states[number])
            if not (found.wrong or found.missing or found.stale or found.raised):
                self.counts["log: newest commits gone" if number < len(template.states) - 1 else "right"] += 1
                return []
        return [f"no state since commit {least} is what is read: {judge(template, reading, template.state)}"]

    def count(self, reading: Reading, found: Judgement) -> None:
        if not reading.opened:
            self.counts["not opened"] += 1
        elif found.missing:
            self.counts["something missing"] += 1
            if "DUMP" in os.environ:
                print(os.pread(self.now, 500, 0).decode()[:300], found.missing[:4], file=sys.stderr)
        elif found.raised:
            self.counts["something raised"] += 1
        else:
            self.counts["right"] += 1
        self.counts["stale"] += bool(found.stale)


def main(key: str, seed: str, count: str, folder: str) -> None:
    faulthandler.enable()
    sys.modules["pandas"] = None  # type: ignore[assignment]  # sqlite-utils would load it where it is, for half a second
    warnings.simplefilter("ignore")  # of keys that a damaged table names
    made = Path(folder) / "made"
    made.mkdir()
    template = make(key, made)
    shutil.rmtree(made)
    gc.freeze()  # what the imports made: to go over it again and again takes a tenth of the time
    child = Child(template, Path(folder))
    child.run(Random(f"{key} {seed}"), int(count))
    result: dict[str, Any] = {"counts": child.counts, "failures": child.failures}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
