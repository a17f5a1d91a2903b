"""How a command ends: every error and every warning as one line on stderr, and the exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from store.cli.output.terminal import note, on_one_line
from store.errors import StoreError

EXIT_ERROR = 1  # the call was right and cannot be done: no such record, a damaged file, a full disk
EXIT_USAGE = 2  # the call was wrong; click's own number
EXIT_INTERRUPTED = 130  # what shells give for Ctrl-C
EXIT_PIPE = 141  # and for a pipe that was closed: `| head` has read enough


def usage_error(message: str) -> click.UsageError:
    """The error of a wrong call; its line ends with the command whose --help to see."""
    return click.UsageError(message, click.get_current_context(silent=True))


@contextmanager
def reported_as(error: Callable[[str], click.ClickException]) -> Iterator[None]:
    """Reports a TypeError or ValueError of the block as `error`; a StoreError passes, even if it is one of those."""
    try:
        yield
    except StoreError:
        raise
    except (TypeError, ValueError) as exc:
        raise error(str(exc)) from exc


def exit_with_error(wanted: object = True) -> None:
    """Ends the command with exit code 1 if `wanted`; what there is to say was printed already."""
    if wanted:
        click.get_current_context().exit(EXIT_ERROR)


def run(command: click.Command, args: Sequence[str] | None = None, obj: Any = None) -> int:
    """Runs a command and returns its exit code; nothing that `store` or the system raises gets past.

    `obj` is what the commands find in their context.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return _run(command, args, obj)
        except click.ClickException as exc:
            return _complain(exc.format_message().rstrip(".") + _advice(exc), exc.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            return EXIT_PIPE
        except (StoreError, Warning) as exc:  # a warning is raised under `python -W error`
            return _complain(str(exc))
        except MemoryError:
            return _complain("there is not enough memory for this")
        except OSError as exc:
            return _complain(": ".join(str(part) for part in (exc.filename, exc.strerror or exc) if part))
        finally:
            _flush_streams()


def _run(command: click.Command, args: Sequence[str] | None, obj: Any) -> int:
    """Without click's standalone mode, which prints errors over several lines."""
    streams = sys.stdout, sys.stderr
    try:
        code = command.main(None if args is None else list(args), prog_name="store", standalone_mode=False, obj=obj)
    except SystemExit as exc:  # even so click exits after a broken pipe, and after it answered a completion
        if (sys.stdout, sys.stderr) != streams:  # click puts others in their place after a broken pipe
            sys.stdout, sys.stderr = streams
            return EXIT_PIPE
        return exc.code if isinstance(exc.code, int) else EXIT_ERROR
    return code if isinstance(code, int) else 0


def _advice(error: click.ClickException) -> str:
    """What to do about a wrong call: how to pass a name that looks like an option, and whose --help to see."""
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return ""
    path, command, advice = error.ctx.command_path, error.ctx.command, ""
    words = [one.metavar or str(one.name).upper() for one in command.params if isinstance(one, click.Argument)]
    if words and isinstance(error, click.NoSuchOption):
        advice = f"; if it is no option, put -- before the arguments: `{path} -- {' '.join(words)}`"
    return f"{advice}; see '{path} --help'"


def _complain(message: str, code: int = EXIT_ERROR) -> int:
    try:
        note(on_one_line(message))
    except OSError:  # stderr is closed
        pass
    return code


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    _complain(f"warning: {message}")


def _flush_streams() -> None:
    """What cannot be written now must not be tried again at exit: Python would print an error of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
