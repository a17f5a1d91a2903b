"""The arguments and options that commands share, and their types."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from store.cli.output.exits import usage_error
from store.system.late import late

F = TypeVar("F", bound=Callable[..., Any])


def text(argument: str) -> str:
    """The type of names and values: UTF-8 in any locale; bytes that are not come from Python as surrogates."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise click.BadParameter("it is not text in UTF-8") from None


def seconds(argument: str) -> float:
    """The type of lifetimes: a number of seconds above 0, or of another unit (90, 0.5, 30m, 2h, 7d, 1w)."""
    return _time(argument, or_zero=False)


def waiting_seconds(argument: str) -> float:
    """The type of times to wait: the same, or 0."""
    return _time(argument, or_zero=True)


def _time(argument: str, *, or_zero: bool) -> float:
    from store.display.units import seconds_of  # which `get` need not load

    try:
        return seconds_of(argument, or_zero=or_zero)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


def id_of(argument: str, size: int, problem: str) -> bytes:
    """The bytes of an id in hexadecimal. Raises: click.BadParameter: it is none; only `problem` is shown."""
    try:
        found = bytes.fromhex(argument)
    except ValueError:
        found = b""
    if len(found) != size:
        raise click.BadParameter(problem, click.get_current_context(silent=True))
    return found


def words_of(words: tuple[str, ...], wanted: tuple[str, ...], default: str | None = None) -> list[str]:
    """The arguments of one of several forms of a command; `default` stands for the last one.

    Raises:
        click.UsageError: there are too few or too many.
    """
    given = [*words, default] if default is not None and len(words) == len(wanted) - 1 else list(words)
    if len(given) < len(wanted):
        raise usage_error(f"Missing argument '{wanted[len(given)]}'")
    if len(given) > len(wanted):
        raise usage_error(f"Got unexpected extra argument ({' '.join(map(str, given[len(wanted) :]))})")
    return [str(word) for word in given]


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which the help lists them."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def completed(function: str) -> Callable[..., Any]:
    """A function of `completion`, which is loaded when a shell asks: otherwise it would take 1 ms of each command."""

    def complete(*question: Any) -> Any:
        return late(f"store.cli.reading.completion:{function}", "completion")(*question)

    return complete


complete_names, complete_namespaces, complete_path = map(
    completed, ("complete_names", "complete_namespaces", "complete_path")
)


def namespace(help: str = "The namespace; the unnamed one by default.", default: str | None = "") -> Callable[[F], F]:
    """--namespace; `default` None stands for every namespace."""
    return click.option(
        "--namespace", metavar="NS", type=text, default=default, shell_complete=complete_namespaces, help=help
    )


path = click.argument("path", shell_complete=complete_path)
name = click.argument("name", type=text, shell_complete=complete_names)
names = click.argument("names", metavar="NAME...", type=text, nargs=-1, required=True, shell_complete=complete_names)
some_names = click.argument("names", metavar="[NAME...]", type=text, nargs=-1, shell_complete=complete_names)
any_namespace = namespace("Only this namespace; every one by default.", None)
only_namespace = click.option("--namespace", metavar="NS", type=text, help="Only the records of this namespace.")
prefix = click.option("--prefix", metavar="P", type=text, default="", help="Only names that begin with P.")
as_object = click.option("--json", "as_object", is_flag=True, help="As a JSON object.")
exact = click.option("--bytes", "exact", is_flag=True, help="Sizes in bytes, without units.")
color = click.option("--color/--no-color", default=None, help="Colours always, or never; by default on a terminal.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")
