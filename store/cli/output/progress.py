"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from store.cli.output.terminal import is_watched


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Gives a function to call with the work done and the total; None where stderr is no terminal."""
    if not is_watched():
        yield None
        return
    with ExitStack() as stack:
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            if not bars:  # the total is known only now
                bars.append(stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr)))
            bars[0].update(done - bars[0].pos)

        yield show


def counted(
    results: Iterable[Any], counts: Counter[str], *, length: int | None = None, hidden: bool = False
) -> Iterator[Any]:
    """The results as they come, with a bar; each one's `outcome` is added to `counts`."""
    hidden = hidden or not is_watched()
    with click.progressbar(results, length, file=sys.stderr, hidden=hidden, show_pos=length is None) as bar:
        for result in bar:
            counts[result.outcome] += 1
            yield result
