"""A box of notes, compressed: written in blocks, some of them given up, searched, renamed, thrown away.

    python notes.py FOLDER
"""

import os
import pickle
import sys
import zlib
from datetime import date
from pathlib import Path

from sqlitedict import SqliteDict


def pack(note):
    return memoryview(zlib.compress(pickle.dumps(note, pickle.HIGHEST_PROTOCOL)))


def unpack(data):
    return pickle.loads(zlib.decompress(bytes(data)))


def box(path, **options):
    return SqliteDict(path, tablename="my notes", encode=pack, decode=unpack, **options)


def write(path):
    with box(path) as notes:
        notes["tea"] = {"text": "buy tea " * 50, "day": date(2026, 3, 1), "tags": {"shop"}}
        notes["book"] = {"text": "return the book", "day": date(2026, 3, 2), "tags": {"town", "today"}}
        notes["idea"] = {"text": "a cache that is bounded", "day": date(2026, 3, 2), "tags": set()}
        notes.commit()
    with box(path) as notes:
        notes["lost"] = {"text": "never committed", "day": date(2026, 3, 3), "tags": set()}
        del notes["tea"]
        print("inside the block:", list(notes))
    with box(path) as notes:
        print("afterwards:", list(notes))


def search(path, words):
    with box(path, flag="r") as notes:
        return [name for name, note in notes.items() if words in note["text"]]


def tag(path, name, *tags):
    with box(path, autocommit=True) as notes:
        note = notes[name]
        note["tags"].update(tags)
        notes[name] = note
        return sorted(notes[name]["tags"])


def rename(path, old, new):
    with box(path) as notes:
        if new in notes:
            raise KeyError(new)
        notes[new] = notes.pop(old)
        notes.commit()
        return list(notes.keys())


def main(folder):
    path = str(Path(folder, "notes.sqlite"))
    write(path)
    print("tea:", search(path, "tea"), "cache:", search(path, "cache"))
    print("tags:", tag(path, "book", "late"), tag(path, "idea", "store", "store"))
    print("renamed:", rename(path, "tea", "green tea"))
    try:
        rename(path, "book", "idea")
    except KeyError as exc:
        print("not renamed:", exc)
    notes = box(path)
    with notes:
        print("days:", sorted({note["day"].isoformat() for note in notes.values()}))
    with notes:  # a closed box opens again
        print("still", len(notes), notes == {name: notes[name] for name in notes})
    with SqliteDict(path, autocommit=True) as settings:
        settings.update({"columns": 80}, theme="dark", size=12)
        print("settings:", sorted(settings.items()), SqliteDict.get_tablenames(path))
    with box(path, flag="w") as emptied:
        print("emptied:", len(emptied), bool(emptied))
    with SqliteDict(path) as settings:
        print("the other table:", sorted(settings))
    last = SqliteDict(path, flag="n")
    print("all new:", list(last), SqliteDict.get_tablenames(path))
    last.terminate()
    print("file is there:", os.path.exists(path))


main(sys.argv[1])
