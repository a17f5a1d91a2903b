"""Serves the corpus as `store web` does, each stream as a record of somebody else; prints the address.

    python web_server.py FOLDER data|all [NAME]

With "all" the streams are read first by a program that trusts everything: they run their payloads, which shows that
the harness would notice. NAME: only that stream.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import corpus
from entries import ALLOW, KEY, OURS, Body, planting

from store import Store
from store.web.app.door import Door, new_token
from store.web.app.listening import listen, resolved
from store.web.app.serving import serve
from store.web.links import Links
from store.web.site import Site

NAMESPACE = "corpus"
STREAMS = corpus.hostile()


def plant(path: Path, names: Iterable[str]) -> None:
    """Streams of the corpus, sealed with a key of somebody else."""
    with planting(), Store[Any](path, namespace=NAMESPACE, key=KEY, spill_bytes=1 << 40) as s, s.transaction():
        for name in names:
            s[name] = Body(STREAMS[name].bytes())


def main() -> None:
    path, trust = Path(sys.argv[1]) / "app.db", sys.argv[2]
    plant(path, sys.argv[3:] or STREAMS)
    token = new_token()
    sock, listening = listen(resolved("127.0.0.1", 0))
    if trust == "all":
        with Store[Any](path, mode="r", namespace=NAMESPACE, trust="all") as s:
            list(s.values())
    with Store[Any](path, mode="r", key=OURS, allow=ALLOW) as s:
        print(f"{listening.url}/{token}/", flush=True)
        serve(Site(s, Links(f"/{token}"), live=True), Door(token, listening), sock)


if __name__ == "__main__":
    main()
