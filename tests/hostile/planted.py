"""Journals that name another file, as somebody plants them beside a database; and other things in a companion's place.

The format: https://www.sqlite.org/fileformat2.html#rollback_journal
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

MAGIC = bytes.fromhex("d9d505f920a163d7")
SECTOR = 512


def journal_naming(database: Path, victim: Path) -> bytes:
    """A journal without pages, which SQLite applies and then deletes `victim`."""
    page = struct.unpack(">H", database.read_bytes()[16:18])[0] if database.stat().st_size else 4096
    pages = max(1, database.stat().st_size // page)
    header = (MAGIC + struct.pack(">IIIII", 0, 1, pages, SECTOR, page)).ljust(SECTOR, b"\0")
    name = os.fsencode(victim)
    total = sum(byte - 256 if byte > 127 else byte for byte in name) & 0xFFFFFFFF
    return header + struct.pack(">I", 2**30 // page + 1) + name + struct.pack(">II", len(name), total) + MAGIC


def beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def super_journal(place: Path, database: Path, victim: Path) -> None:
    place.write_bytes(journal_naming(database, victim))


def pipe(place: Path, database: Path, victim: Path) -> None:
    os.mkfifo(place)


def link(place: Path, database: Path, victim: Path) -> None:
    place.symlink_to(victim)


def endless_link(place: Path, database: Path, victim: Path) -> None:
    place.symlink_to("/dev/zero")


def link_to_nothing(place: Path, database: Path, victim: Path) -> None:
    place.symlink_to(victim.with_name("made"))


def folder(place: Path, database: Path, victim: Path) -> None:
    place.mkdir()


def listener(place: Path, database: Path, victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.getcwd()
        os.chdir(place.parent)  # such a path has up to 107 bytes
        try:
            sock.bind(place.name)
        finally:
            os.chdir(here)


OTHERS = [pipe, link, endless_link, link_to_nothing, listener]
