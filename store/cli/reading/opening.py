"""How a command opens its store, and reports that the store or a record is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from store import Store
from store.cli.output.exits import reported_as
from store.cli.output.terminal import note, shown_name
from store.errors import StoreNotFound, label
from store.opened.arguments import locate, public
from store.opened.options import Mode
from store.system.clock import wall_clock

T = TypeVar("T")


def clock() -> Callable[[], float]:
    """The clock that `main` was given for this command; it returns Unix seconds."""
    context = click.get_current_context(silent=True)
    given = None if context is None else context.obj
    return given if callable(given) else wall_clock


def open_store(path: str, *, mode: Mode, **options: Any) -> Store[Any]:
    """The store at `path`; only mode "c" makes one. Raises: as `open_as`."""
    return open_as(Store, path, mode=mode, **options)


def open_as(kind: Callable[..., T], path: str, *, mode: Mode, **options: Any) -> T:
    """The store at `path`, opened by `Store` or by a layer above it.

    Raises:
        click.UsageError: an option, or a key in the environment, can never be right. StoreError.
    """
    try:
        with reported_as(click.UsageError):
            if locate(path)[1] == ":memory:":
                raise click.UsageError("a store in memory ends with the command; give the path of a file")
            return kind(path, mode=mode, **{"clock": clock(), **options})
    except StoreNotFound as exc:
        if mode == "c":  # the directory is missing, and the message says so
            raise
        raise click.ClickException(f"there is no store at {exc.path}; `store set` makes one") from exc


def each_namespace(s: Store[Any], namespaces: Iterable[str]) -> Iterator[Store[Any]]:
    """The store opened on each of some namespaces in turn."""
    for namespace in namespaces:
        with s.within(namespace) as inner:
            yield inner


def namespaces_of(s: Store[Any], namespace: str | None) -> list[str]:
    """All namespaces that have records, or the given one."""
    return s.namespaces() if namespace is None else [namespace]


def note_namespaces(s: Store[Any]) -> None:
    """Names the namespaces that have records where that of the store has none: it is probably mistyped."""
    found = s.namespaces()
    if found and s.namespace not in found:
        listed = ", ".join(map(shown_name, found[:10])) + (", …" if len(found) > 10 else "")
        note(f"nothing here; these namespaces have records: {listed}")


@contextmanager
def existing(path: str, namespace: str, name: str) -> Iterator[None]:
    """Reports a KeyError of the block: the record does not exist. Raises: click.ClickException."""
    try:
        yield
    except KeyError:
        raise click.ClickException(
            f"{public(path)} has no {label(name, namespace)}; `store ls` shows the names it has"
        ) from None
