"""How a command ends: every error and every warning as one line on stderr, and the exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from store.cli.output.terminal import on_one_line
from store.errors import StoreError

EXIT_ERROR = 1  # the world refused: no such record, a damaged file, a full disk
EXIT_USAGE = 2  # the call was wrong; click's own number
EXIT_INTERRUPTED = 130  # what shells give for Ctrl-C
EXIT_PIPE = 141  # and where `| head` has read enough


def run(command: click.Command, args: Sequence[str] | None = None, obj: Any = None) -> int:
    """Runs a command and returns its exit code; nothing that `store` or the system raises gets past.

    `obj` is what the commands find in their context.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return _run(command, args, obj)
        except click.ClickException as exc:
            _complain(exc.format_message().rstrip(".") + _behind_dashes(exc) + _where_to_look(exc))
            return exc.exit_code
        except (click.Abort, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            return EXIT_PIPE
        except (StoreError, Warning) as exc:  # a warning is raised under `python -W error`
            _complain(str(exc))
            return EXIT_ERROR
        except MemoryError:
            _complain("there is not enough memory for this")
            return EXIT_ERROR
        except OSError as exc:
            _complain(": ".join(str(part) for part in (exc.filename, exc.strerror or exc) if part))
            return EXIT_ERROR
        finally:
            _let_go_of_streams()


def _run(command: click.Command, args: Sequence[str] | None, obj: Any) -> int:
    """Without click's standalone mode, which prints errors over several lines."""
    streams = sys.stdout, sys.stderr
    try:
        code = command.main(None if args is None else list(args), prog_name="store", standalone_mode=False, obj=obj)
    except SystemExit as exc:  # all that is left to click there: a broken pipe, and a completion that was answered
        # Where a pipe broke, click hides the streams behind others, and rich exits itself.
        if (sys.stdout, sys.stderr) != streams or isinstance(exc.__context__, BrokenPipeError):
            sys.stdout, sys.stderr = streams
            return EXIT_PIPE
        return exc.code if isinstance(exc.code, int) else EXIT_ERROR
    return code if isinstance(code, int) else 0


def _where_to_look(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"; see '{error.ctx.command_path} --help'"
    return ""


def _behind_dashes(error: click.ClickException) -> str:
    """How to give a name or value that was taken for an option."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    words = [
        one.metavar or str(one.name).upper() for one in error.ctx.command.params if isinstance(one, click.Argument)
    ]
    if not words:
        return ""
    return f"; if it is no option, put -- before the arguments: `{error.ctx.command_path} -- {' '.join(words)}`"


def _complain(message: str) -> None:
    try:
        click.echo(f"store: {on_one_line(message)}", err=True)
    except OSError:  # nobody is there to be told
        pass


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    _complain(f"warning: {message}")


def _let_go_of_streams() -> None:
    """What could not be written now must not be tried again at exit: that prints an error of Python's own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
