"""`web`: the pages of a store in a browser."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

import click

from store import Store
from store.cli.output.exits import reported_as, usage_error
from store.cli.output.sigterm import ended_by_sigterm
from store.cli.output.terminal import note, shown
from store.cli.reading import options
from store.cli.reading.opening import clock, open_store
from store.cli.reading.schemas import settings_class
from store.errors import ReadOnly
from store.system.late import late
from store.web.app.door import HOW_TO_MAKE, Door, checked_token, new_token
from store.web.app.listening import Listening, listen, resolved
from store.web.links import Links
from store.web.place import place_of
from store.web.site import Site

LOCK_SECONDS = 5.0  # that a page waits for a lock, or for a server that is away; it has a button to try again
LIBRARIES = ("starlette", "uvicorn", "h11", "anyio")


@click.command()
@options.path
@options.namespace("Begin with this namespace; by default with the page of the whole store.", None)
@click.option("--write", is_flag=True, help="Also change the store: set, touch, delete, admit, edit settings.")
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; 0, the default, is a free one.")
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="STORE_WEB_TOKEN",
    help="The token in the address, 16 to 200 characters; a random one by default. STORE_WEB_TOKEN gives it without "
    "showing it to `ps`.",
)
@click.option(
    "--settings",
    "schemas",
    metavar="MODULE:CLASS",
    type=settings_class,
    multiple=True,
    help="With --write: a class of settings, whose fields make the form that edits them; imports the module. May be "
    "repeated.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=options.waiting_seconds,
    help="End after so many seconds without a request; also 30m, 2h, 7d.",
)
def web(
    path: str,
    namespace: str | None,
    write: bool,
    host: str,
    port: int,
    token: str | None,
    schemas: tuple[type, ...],
    timeout: float | None,
) -> None:
    """Shows the store in a browser.

    Prints the address to open, and serves it until Ctrl-C. The address has a random token in it: a person who has the
    address can read the store, and change it with --write. Only programs of this machine can connect; another --host
    needs a --token. Nothing is encrypted on the way, so reach another machine by `ssh -L`.

    \b
    Examples:
      store web app.db --timeout 0.1
      store web app.db --namespace settings --write --timeout 0.1
    """
    serve = _serving()
    if schemas and not write:
        raise usage_error("--settings is for the form that edits settings, which is there with --write")
    with reported_as(click.UsageError):
        chosen = new_token() if token is None else checked_token(token)
    with _opened(path, write=write) as s:
        sock, listening = _listen(host, port, only_local=token is None)
        with sock:
            links, place = Links(f"/{chosen}"), place_of(s.location)
            site = Site(s, links, writable=write, schemas=schemas, clock=clock(), live=True, place=place)
            first = site.links.page() if namespace is None else site.links.namespace(namespace)
            note(f"showing {shown(s.location)}{'' if write else ', read-only'}; Ctrl-C ends")
            if not listening.is_local:
                note("other machines can connect, and nothing is encrypted on the way")
            click.echo(f"{listening.url}{first}")
            with ended_by_sigterm():
                serve(site, Door(chosen, listening), sock, timeout)


def _opened(path: str, *, write: bool) -> Store[Any]:
    try:
        return open_store(path, mode="w" if write else "r", timeout=LOCK_SECONDS)
    except ReadOnly as exc:
        raise click.ClickException(f"{exc}; without --write, `store web` does so") from exc


def _serving() -> Callable[..., Any]:
    """The function that serves. Raises: click.ClickException: its libraries are not installed."""
    try:
        found: Callable[..., Any] = late("store.web.app.serving:serve", "`store web`")
    except ModuleNotFoundError as exc:
        library = str(exc.name).partition(".")[0]
        if library not in LIBRARIES:
            raise
        raise click.ClickException(
            f"`store web` needs {library}, which is not installed: pip install '.[web]'"
        ) from exc
    return found


def _listen(host: str, port: int, *, only_local: bool) -> tuple[socket, Listening]:
    try:
        asked = resolved(host, port)
        if only_local and not asked.is_local:
            raise usage_error(
                f"other machines can connect to --host {shown(host)}, which therefore needs --token; {HOW_TO_MAKE}"
            )
        return listen(asked)
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise click.ClickException(
            f"cannot listen at {shown(host)}, port {port}: {reason}; choose another --host or --port"
        ) from exc
