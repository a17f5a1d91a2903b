"""One record at a time: `get`, `set`, `rm`."""

from __future__ import annotations

import re

import click

from store.cli.options import missing, namespace_option, open_store, path_argument, text
from store.cli.values import format_value, parse_value, read_text
from store.codecs import codecs
from store.errors import RecordError

_NOT_OPTIONS = re.compile(r"-|-[\d.].*", re.DOTALL)  # stdin, and negative numbers


@click.command()
@path_argument
@click.argument("name", type=text)
@namespace_option
def get(path: str, name: str, namespace: str) -> None:
    """Shows the value of a record.

    As JSON where that loses nothing, else as Python shows it. A record that was sealed with somebody else's key
    is shown if it is plain data; classes that it names are not loaded.

    For objects of classes of your own, run `python -m store get` where Python finds their modules.

    \b
    Examples:
      store get app.db settings
      store get app.db theme --namespace settings
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        try:
            value = s[name]
        except KeyError:
            raise missing(name, path, namespace) from None
        except RecordError as exc:
            raise click.ClickException(f"{exc}; `store info` shows what is known without loading it") from exc
        click.echo(format_value(value))


class _TakesNegativeNumbers(click.Command):
    """click takes "-5" for an option; told to let unknown options pass, it also lets mistyped ones pass."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed = list(args)
        rest = super().parse_args(ctx, args)
        if "--" not in typed:
            for given in ctx.params.values():
                if isinstance(given, str) and given.startswith("-") and not _NOT_OPTIONS.fullmatch(given):
                    raise click.NoSuchOption(given, ctx=ctx)
        return rest


@click.command("set", cls=_TakesNegativeNumbers, context_settings={"ignore_unknown_options": True})
@path_argument
@click.argument("name", type=text)
@click.argument("value", type=text)
@click.option("--ttl", type=float, metavar="SECONDS", help="How long the record lives; for ever by default.")
@click.option(
    "--codec", type=click.Choice(codecs.names()), default="pickle", show_default=True, help="How it is encoded."
)
@namespace_option
def set_(path: str, name: str, value: str, ttl: float | None, codec: str, namespace: str) -> None:
    """Stores a value under a name.

    As an assignment does: what was there is replaced. Makes the store where there is none.

    VALUE is JSON, or else a Python literal (a tuple, a set, bytes…). A string needs quotes of its own inside
    those of the shell. `@FILE` takes the text of a file, `-` that of stdin.

    \b
    Examples:
      store set app.db settings '{"theme": "dark", "font_size": 14}'
      store set app.db greeting '"hello"'
      store set app.db limits '(-5, 5)' --namespace settings
      store set app.db session:4f2a '{"user": 1}' --ttl 1800
    """
    parsed = parse_value(read_text(value), value)
    with open_store(path, mode="c", namespace=namespace, codec=codec, ttl=ttl) as s:
        s[name] = parsed


@click.command()
@path_argument
@click.argument("names", metavar="NAME...", type=text, nargs=-1, required=True)
@namespace_option
def rm(path: str, names: tuple[str, ...], namespace: str) -> None:
    """Deletes records.

    All of those named or, if one is missing, none.

    \b
    Examples:
      store rm app.db greeting
      store rm app.db session:4f2a user:1
    """
    with open_store(path, mode="w", namespace=namespace) as s, s.transaction():
        for name in dict.fromkeys(names):
            try:
                del s[name]
            except KeyError:
                raise missing(name, path, namespace) from None
