"""How a command opens its store, and reports that the store or a record is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from store import Store
from store.errors import StoreError, StoreNotFound, label
from store.system.clock import wall_clock


def clock() -> Callable[[], float]:
    """The clock that `main` was given for this command; it returns Unix seconds."""
    context = click.get_current_context(silent=True)
    given = None if context is None else context.obj
    return given if callable(given) else wall_clock


def open_store(path: str, *, mode: str, **options: Any) -> Store[Any]:
    """The store at `path`; only mode "c" makes one.

    Raises:
        click.UsageError: an option, or a key in the environment, can never be right. StoreError.
    """
    if path == ":memory:":
        raise click.UsageError("a store in memory ends with the command; give the path of a file")
    try:
        return Store(path, mode=mode, **{"clock": clock(), **options})
    except StoreNotFound as exc:
        if mode == "c":  # the directory is missing, and the message says so
            raise
        raise click.ClickException(f"there is no store at {exc.path}; `store set` makes one") from exc
    except StoreError:
        raise
    except (TypeError, ValueError) as exc:
        raise click.UsageError(str(exc)) from exc


def each_namespace(s: Store[Any], namespace: str | None = None) -> Iterator[Store[Any]]:
    """The store opened on each of its namespaces in turn, or on the given one alone."""
    return each_of(s, s.namespaces() if namespace is None else [namespace])


def each_of(s: Store[Any], namespaces: Iterable[str]) -> Iterator[Store[Any]]:
    """The store opened on each of some namespaces in turn."""
    for namespace in namespaces:
        with s.within(namespace) as inner:
            yield inner


def missing(name: str, path: str, namespace: str) -> click.ClickException:
    """The error for a record that does not exist."""
    return click.ClickException(f"{path} has no {label(name, namespace)}; `store ls` shows the names it has")
