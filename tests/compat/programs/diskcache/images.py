"""A cache of images and their thumbnails, which are written from files and read through file handles.

Usage: images.py FOLDER
"""

import hashlib
import io
import shutil
import sys
from pathlib import Path
from typing import BinaryIO

import diskcache

SIDE = 400
TYPES = {"P6": "image/x-portable-pixmap", "P5": "image/x-portable-graymap"}


def draw(path: Path, red: int) -> None:
    """Write a picture in the PPM format: a gradient."""
    with path.open("wb") as file:
        file.write(b"P6 %d %d 255\n" % (SIDE, SIDE))
        for row in range(SIDE):
            file.write(bytes((red, row % 256, 128)) * SIDE)


def shrink(source: BinaryIO, factor: int) -> io.BytesIO:
    """A gray picture of every `factor`-th pixel."""
    kind, width, height, _ = source.readline().split()
    assert kind == b"P6"
    rows, width = int(height), int(width)
    small = io.BytesIO()
    small.write(b"P5 %d %d 255\n" % (width // factor, rows // factor))
    for row in range(rows):
        line = source.read(3 * width)
        if row % factor == 0:
            small.write(bytes(sum(line[at : at + 3]) // 3 for at in range(0, 3 * width, 3 * factor)))
    small.seek(0)
    return small


class Images:
    """Pictures by name, and thumbnails of them that are made when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.cache = diskcache.Cache(folder, size_limit=10**8, disk_min_file_size=1024)
        self.made = 0

    def put(self, path: Path) -> None:
        with path.open("rb") as file:
            self.cache.set(path.stem, file, read=True, tag="original")

    def thumbnail(self, name: str, factor: int) -> BinaryIO:
        """A handle of the thumbnail."""
        key = (name, factor)
        handle = self.cache.get(key, read=True)
        if handle is None:
            with self.cache.read(name) as source:
                self.cache.set(key, shrink(source, factor), expire=3600, read=True, tag="thumbnail")
            self.made += 1
            handle = self.cache.read(key)
        return handle

    def serve(self, name: str, factor: int | None, out: BinaryIO) -> str:
        """Copy a picture to a socket or file; return its type."""
        with self.cache.read(name) if factor is None else self.thumbnail(name, factor) as handle:
            kind = TYPES[handle.read(2).decode()]
            handle.seek(0)
            shutil.copyfileobj(handle, out)
        return kind


def main(folder: Path) -> None:
    images = Images(folder / "images")
    for red, name in ((10, "dawn"), (120, "noon"), (250, "dusk")):
        draw(folder / f"{name}.ppm", red)
        images.put(folder / f"{name}.ppm")
    print("kept", list(images.cache), "bytes of dawn", len(images.cache["dawn"]))
    for name, factor in (("dawn", 4), ("dusk", 8), ("dawn", 4), ("noon", None), ("dusk", 100)):
        out = io.BytesIO()
        kind = images.serve(name, factor, out)
        digest = hashlib.sha256(out.getvalue()).hexdigest()[:12]
        print(f"{name} / {factor}: {kind}, {len(out.getvalue())} bytes, {digest}")
    print("made", images.made, "thumbnails")
    handle, expires, tag = images.cache.get(("dawn", 4), read=True, expire_time=True, tag=True)
    with handle:
        print("header", handle.readline(), "tag", tag, "expires", expires is not None, "at", handle.tell())
        print("from the end", handle.seek(-2, io.SEEK_END), handle.read())
    with images.cache.read("noon") as first, images.cache.read("noon") as second:
        first.seek(1000)
        print("two handles", first.read(3), second.read(3))
        del images.cache["noon"]
        print("deleted under them", second.read(4), "noon" in images.cache)
    print("same as the file", images.cache["dusk"] == (folder / "dusk.ppm").read_bytes())
    print("thumbnails evicted", images.cache.evict("thumbnail"), "kept", list(images.cache))
    before = images.cache.volume()
    print("originals evicted", images.cache.evict("original"), "freed", before - images.cache.volume() > 900_000)
    try:
        images.thumbnail("dawn", 4)
    except KeyError as exc:
        print("no original:", exc)
    images.cache.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
