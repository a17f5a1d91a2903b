"""`import`: records of other programs, and exports of stores."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import click

from store import Store
from store.care.foreign import TRUST
from store.care.raw import import_raw
from store.cli.output.exits import exit_with_error, usage_error
from store.cli.output.json_output import print_array
from store.cli.output.progress import counted
from store.cli.output.terminal import note, on_one_line, shown_name, shown_place
from store.cli.reading import options
from store.cli.reading.opening import open_as, open_store
from store.cli.reading.sources import check_options, check_place, secret_keys_in
from store.compat.diskcache.importing import CacheForm
from store.compat.sqlitedict.importing import import_tables
from store.errors import StoreNotFound
from store.importers.contract import Keys
from store.importers.formats.sqlitedict import tables_at
from store.importers.kinds import importers
from store.importers.run import ON_CONFLICT, OUTCOMES, TROUBLE, Imported, import_into
from store.mapping.sharding.layout import with_its_shards
from store.sessions import Sessions
from store.sessions.importing import SessionForm
from store.system.late import late

KINDS = (
    "shelve", "dbm", "sqlitedict", "diskcache", "cachelib", "flask-session", "django-cache", "django-sessions",
    "requests-cache", "joblib-memory", "pickles", "joblib", "json",
)  # fmt: skip
CACHE_NAMESPACE = "cache"  # the default of `store.cache.Cache`
SESSION_CODECS = ("json", "pickle")
MOST_TABLES = 20  # tables of a file that are named
MOST_RENAMED = 10  # imported records with a changed name that are noted; the others are counted


@click.command("import")
@click.argument("words", metavar="KIND SRC DST", nargs=-1)
@click.option("--raw", is_flag=True, help="The other form: FILE PATH, what `store export --raw` wrote.")
@options.namespace("The namespace; the unnamed one by default, and with --cache that of a cache.", None)
@click.option("--cache", "as_cache", is_flag=True, help="DST is a cache (store.Cache): tags are kept too.")
@click.option(
    "--allow",
    metavar="MOD.CLASS",
    type=options.text,
    multiple=True,
    help="A class that pickles may make; repeatable.",
)
@click.option(
    "--trust", type=click.Choice(TRUST), default="data",
    help='How pickles are read: restricted ("data"), or running what they say ("all"); data.',
)  # fmt: skip
@click.option("--prefix", metavar="P", type=options.text, default="", help="Put P before each name.")
@click.option(
    "--table", metavar="T", type=options.text, help="Of a sqlitedict or Django's database: only this table."
)
@click.option(
    "--secret-key-file", "secret_keys", metavar="FILE", type=secret_keys_in,
    help="Of Django's sessions: only those signed with a SECRET_KEY in FILE, which has one on each line.",
)  # fmt: skip
@click.option(
    "--session-age", metavar="TIME", type=options.seconds,
    help="Of Django's session files: SESSION_COOKIE_AGE, after which one expires; 14d.",
)  # fmt: skip
@click.option(
    "--key-prefix", metavar="P", type=options.text,
    help="Of sessions on a Redis server: KEY_PREFIX of Django's cache, or SESSION_KEY_PREFIX of Flask-Session; "
    "none, and session:.",
)  # fmt: skip
@click.option(
    "--key-version", metavar="N", type=click.IntRange(0),
    help="Of Django's sessions on a Redis server: VERSION of its cache; 1.",
)  # fmt: skip
@click.option(
    "--tables",
    is_flag=True,
    help="Of a sqlitedict: each table into a namespace of its own, as store.compat.sqlitedict reads them.",
)
@click.option(
    "--compat", is_flag=True,
    help="Of a diskcache: into a cache, with keys and tags of any type as store.compat.diskcache reads them.",
)  # fmt: skip
@click.option(
    "--sessions", "as_sessions", is_flag=True,
    help="Of django-sessions: DST has sessions (store.Sessions); visitors stay logged in.",
)  # fmt: skip
@click.option(
    "--codec", type=click.Choice(SESSION_CODECS),
    help="With --sessions, how DST stores them: pickle holds tuples and dates too; json, as Django does.",
)  # fmt: skip
@click.option(
    "--encoded", is_flag=True,
    help="Of a sqlitedict: values as they are stored, for a program with an encode= and decode= of its own.",
)  # fmt: skip
@click.option(
    "--on-conflict", type=click.Choice(ON_CONFLICT), default="keep",
    help="What to do if a name has another value already: keep that; replace takes expiry and tag too.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Write nothing; show the outcomes that an import would have.")
@click.option("--json", "as_array", is_flag=True, help="Every record with its outcome, as a JSON array.")
def import_(
    words: tuple[str, ...],
    raw: bool,
    dry_run: bool,
    as_array: bool,
    as_cache: bool,
    namespace: str | None,
    tables: bool,
    compat: bool,
    as_sessions: bool,
    codec: str | None,
    **how: Any,
) -> None:
    """Copies records from another program's file.

    KIND is shelve, dbm, sqlitedict, diskcache, cachelib, flask-session, django-cache, django-sessions,
    requests-cache, joblib-memory, pickles, joblib or json; SRC is its file or folder, which is not changed. Creates
    the store DST if there is none. Pickles are read without running code, and only classes that --allow names are
    loaded, unless --trust says otherwise (run it where they can be imported: PYTHONPATH=.). It can be stopped;
    rerunning resumes, and leaves alone what is there. The exit code is 1 if a record was refused or failed.

    Sessions of Django and Flask-Session may also be on a Redis or Valkey server or cluster. SRC is then
    redis://user:password@host:port/database; the password may be in the variable REDISCLI_AUTH instead. For example
    `store import django-sessions redis://localhost:6379/1 sessions.db --sessions --key-prefix shop`, or
    `store import flask-session redis://localhost:6379/0 app.db --namespace flask-session`.

    Files of cachelib, flask-session and django-cache are named after a hash of the key, and so are their records,
    those of flask-session on a server too; those of joblib-memory are called module/function/hash of the arguments.

    A sqlitedict with one table keeps its names; with several, a record is called `table:name`. --table T copies only
    one, under its own names; --tables copies each into the namespace of its name, the table `unnamed` into the
    default one, which is how `import store.compat.sqlitedict as sqlitedict` finds them.

    `store import --raw FILE PATH` reads records that a store exported undecoded, and replaces those of the same
    name; what your key sealed is sealed anew, foreign records stay foreign. FILE `-` is stdin.

    \b
    Examples:
      store import shelve old_shelf copy.db
      store import shelve old_shelf copy.db --allow collections.UserDict --dry-run
      store import sqlitedict old.sqlite copy.db --tables
      store import json settings.json copy.db --prefix settings:
      store import diskcache old_cache cache.db --cache
      store import diskcache pages pages/store.db --compat
      store import django-sessions db.sqlite3 sessions.db --sessions --secret-key-file key.txt
      store import --raw records.jsonl copy.db
    """
    if raw:
        _check_raw_alone()
        _import_undecoded(*options.words_of(words, ("FILE", "PATH")))
        return
    if words and words[0] not in importers:
        raise usage_error(
            f"{words[0]!r} is no kind of source: one of {', '.join(KINDS)}; for a raw export pass --raw"
        )
    kind, source, path = options.words_of(words, ("KIND", "SRC", "DST"))
    if as_sessions and (kind != "django-sessions" or as_cache or how["prefix"]):
        raise usage_error("--sessions goes with django-sessions alone, and without --cache and --prefix")
    if codec and not as_sessions:
        raise usage_error("--codec goes with --sessions alone")
    check_options(kind, source, namespace, tables, compat, how)
    how["secret_keys"] = how["secret_keys"] or ()
    source = check_place(kind, source, Keys(how["key_prefix"], how["key_version"]))
    if kind == "sqlitedict" and how["table"] is None:
        _tell_of_tables(source, tables)
    counts: Counter[str] = Counter()
    opener, options_of = _kind_of_target(namespace, as_cache or compat, as_sessions, codec)
    with _target(path, dry_run, opener, options_of) as s:
        how["form"] = CacheForm() if compat else SessionForm() if as_sessions else None
        found = _found(s, kind, source, tables, dry_run=dry_run, **how)
        results = counted(found, counts, hidden=as_array)
        if as_array:
            print_array(map(asdict, results), as_they_come=True)
        else:
            _show(results, as_cache or compat)
    if not as_array:
        click.echo(", ".join(_summary(counts, dry_run)))
    exit_with_error(any(counts[outcome] for outcome in TROUBLE))


def _tell_of_tables(source: str, tables: bool) -> None:
    """Says how the records of a file with several tables are named."""
    there = tables_at(source)
    if len(there) < 2 and not tables:
        return
    names = ", ".join(map(shown_name, there[:MOST_TABLES])) + (", …" if len(there) > MOST_TABLES else "")
    if tables:
        note(f"each table goes into the namespace of its name, unnamed into the default one: {names}")
    else:
        note(
            f"{len(there)} tables, so each record is named table:name; --table T copies one of {names}, --tables all"
        )


def _found(s: Store[Any], kind: str, source: str, tables: bool, **how: Any) -> Iterator[Imported]:
    if not tables:
        return import_into(s, kind, source, **how)
    for option in ("table", "secret_keys", "session_age", "key_prefix", "key_version", "form"):
        del how[option]
    return import_tables(s, source, **how)


def _check_raw_alone() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in ("words", "raw"):
            continue
        if context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE:
            raise usage_error(f"--raw takes no {parameter.opts[0]}: records come as they are")


def _kind_of_target(
    namespace: str | None, as_cache: bool, as_sessions: bool, codec: str | None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What opens the target, and with which options.

    A cache is opened without bounds: its program evicts, by its own bounds, when it writes.
    """
    given = {} if namespace is None else {"namespace": namespace}
    if as_sessions:
        return _store_of_sessions, {"codec": codec or SESSION_CODECS[0], **given}
    if as_cache:
        bounds = {"max_bytes": None, "policy": "none"}
        return _cache, {"namespace": CACHE_NAMESPACE, **bounds, **given}
    return Store, {"namespace": "", **given}


def _cache(path: str, **options: Any) -> Any:
    kind = late("store.cache:Cache", "caches")
    return with_its_shards(lambda shards: kind(path, shards=shards, **options))


def _store_of_sessions(path: str, **options: Any) -> Any:
    """The store below the `Sessions` at a path, with their rights, trust and codec."""
    return with_its_shards(lambda shards: Sessions(path, shards=shards, **options)).store


def _target(path: str, dry_run: bool, opener: Callable[..., Any], options_of: dict[str, Any]) -> Any:
    """The store or cache to fill, as a context manager; if there is none, a dry run takes an empty one in memory."""
    if not dry_run:
        return open_as(opener, path, mode="c", **options_of)
    try:
        return opener(path, mode="r", **options_of)
    except StoreNotFound:
        return opener(":memory:", **options_of)


def _show(results: Iterable[Imported], as_cache: bool) -> None:
    """Notes the records that were not imported as they are; of changed names the first few."""
    renamed = tagged = 0
    for result in results:
        tagged += result.tag is not None
        if result.outcome in ("imported", "replaced", "unchanged"):
            renamed += bool(result.why)
            if not result.why or renamed > MOST_RENAMED:
                continue
        verb = "has" if result.outcome in ("failed", "expired") else "is"
        note(f"{shown_name(result.name)} {verb} {result.outcome}: {on_one_line(result.why)}")
    if renamed > MOST_RENAMED:
        note(f"{renamed - MOST_RENAMED} more names were changed; --json tells all")
    if tagged and not as_cache:
        note(f"{tagged} records have tags in the source, which only a cache keeps: import into a cache with --cache")


def _summary(counts: Counter[str], dry_run: bool) -> Iterator[str]:
    for outcome in OUTCOMES:
        if counts[outcome] or outcome == "imported":
            planned = dry_run and outcome in ("imported", "replaced")
            yield f"{'to be ' if planned else ''}{outcome} {counts[outcome]}"


def _import_undecoded(file: str, path: str) -> None:
    """Reads raw records from FILE, or with "-" from stdin; the exit code is 1 if one is altered or damaged."""
    counts: Counter[str] = Counter()
    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
    with nullcontext(stdin) if file == "-" else open(file, "rb") as lines, open_store(path, mode="c") as s:
        for namespace, name, verdict in import_raw(s.opened, lines):
            counts[verdict] += 1
            if verdict in ("tampered", "corrupt"):
                note(f"{shown_place(namespace, name)} is {verdict}, and stays so")
    click.echo(f"imported {counts.total()}" + "".join(f", {verdict} {counts[verdict]}" for verdict in sorted(counts)))
    exit_with_error(counts["tampered"] or counts["corrupt"])
