"""Statistics of words: in memory, in a temporary file and in a file, by several threads and by several processes.

    python words.py FOLDER
"""

import multiprocessing
import sys
import threading
from collections import Counter
from pathlib import Path

from sqlitedict import SqliteDict

TEXT = """the cat sat on the mat and the dog sat on the cat
a dog and a cat are not a mat
on the third day the dog left"""


def count(lines, counts):
    """Adds the words of some lines to a table, and commits."""
    for line in lines:
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1
    counts.commit()


def by_length(counts):
    """Words by their length, which is a number and becomes text."""
    with SqliteDict() as lengths:
        for word in sorted(counts):
            lengths[len(word)] = [*lengths.get(len(word), []), word]
        print("lengths:", sorted(lengths), lengths[1], lengths["3"], 7 in lengths)
        return {int(length): words for length, words in lengths.items()}


def by_threads(lines):
    """Threads share one object and its uncommitted writes."""
    counts = SqliteDict(":memory:")
    lock = threading.Lock()

    def work(line):
        for word, number in Counter(line.split()).items():
            with lock:
                counts[word] = counts.get(word, 0) + number

    threads = [threading.Thread(target=work, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.commit()
    found = dict(counts)
    counts.close()
    return found


def letters_of(path, number, line):
    """One process: the letters of a line, in a table of its own."""
    with SqliteDict(path, tablename=f"line {number}", autocommit=True, timeout=30) as letters:
        letters.update(Counter(line.replace(" ", "")))


def by_processes(path, lines):
    for number, line in enumerate(lines):  # in turn, so that the tables have one order
        process = multiprocessing.get_context("spawn").Process(target=letters_of, args=(path, number, line))
        process.start()
        process.join()
        print("exit code", process.exitcode)
    for table in SqliteDict.get_tablenames(path):
        with SqliteDict(path, tablename=table, flag="r") as letters:
            print(table, max(letters.items(), key=lambda item: item[1]), sum(letters.values()))


def main(folder):
    lines = TEXT.splitlines()
    with SqliteDict(":memory:") as counts:
        count(lines, counts)
        print("the latest:", list(counts)[-3:], "of", len(counts))
        print("most:", sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:4])
        print("by threads:", by_threads(lines) == dict(counts))
        for word, number in counts.items():
            if number == 1:
                del counts[word]
        counts["the"] += 1
        print("frequent:", sorted(counts), counts["the"], bool(counts))
        print("longest:", max(by_length(counts).items()))
        counts.clear()
        print("cleared:", len(counts), bool(counts), repr(counts))
    by_processes(str(Path(folder, "letters.sqlite")), lines[1:])


if __name__ == "__main__":
    main(sys.argv[1])
