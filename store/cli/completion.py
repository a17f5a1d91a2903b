"""Tab completion: names and namespaces out of the store that the line names, and words that bash takes.

What a key press runs must not be noticed: it only reads, makes no store and no key, prints nothing but the
answers, and gives none where anything is wrong.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from store import Store

LIMIT = 200  # more names than anybody looks through; bash asks before it shows a hundred

_SPECIAL = re.compile(r"[^\w@%+=:,./-]")  # what bash would not take literally
_BREAKS = ":="  # where bash begins a new word, of what can stand inside a name unquoted

HOW_TO = """\
Tab completion of commands, names and namespaces, in bash (zsh alike; fish: fish_source):
  eval "$(_STORE_COMPLETE=bash_source store)"
"""

_SOURCE = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


def complete_path(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, as the shell itself completes them."""
    return [CompletionItem(incomplete, type="file")]


def complete_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the store given as PATH, in the namespace that the line has so far, less those that it has already."""
    namespace = context.params.get("namespace") or ""
    had = context.params.get(parameter.name or "") or ()
    return _items(
        name for name in _ask(context, lambda s: s.names(incomplete, limit=LIMIT), namespace) if name not in had
    )


def complete_namespaces(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Namespaces of the store given as PATH; the unnamed one needs no option."""
    found = [one for one in _ask(context, lambda s: s.namespaces()) if one and one.startswith(incomplete)]
    return _items(found[:LIMIT])


def _ask(context: click.Context, question: Any, namespace: str = "") -> list[str]:
    path = _path(context)
    if path is None:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Store(path, mode="r", namespace=namespace) as s:
                return list(question(s))
    except Exception:  # a completion has nobody to tell
        return []


def _path(context: click.Context) -> str | None:
    """What the line has for PATH. Where an option still waits for its value, click leaves the arguments unread."""
    path = context.params.get("path")
    if path is None and context.args:
        arguments = [one.name for one in context.command.params if isinstance(one, click.Argument)]
        place = arguments.index("path")
        path = context.args[place] if place < len(context.args) else None
    return path if isinstance(path, str) else None


def _items(found: Any) -> list[CompletionItem]:
    """What is not printable cannot be typed either."""
    return [CompletionItem(one) for one in found if one.isprintable()]


class NameAwareBash(BashComplete):
    """click's completion for bash, for words that bash takes apart (`user:1`) or that need quoting."""

    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # set up by click's own script
            return super().get_completion_args()
        words = split_arg_string(line)
        self._typed = "" if line[-1:].isspace() and not line.endswith("\\ ") else _last_word(line)
        incomplete = words.pop() if self._typed and words else ""
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        typed = getattr(self, "_typed", None)
        if typed is None or item.type != "plain":
            return super().format_completion(item)
        return f"{item.type},{_insertion(item.value, typed, os.environ.get('COMP_WORDBREAKS', ''))}"


def _last_word(line: str) -> str:
    """What was typed of the last word, with its quotes."""
    return re.search(r"""(?:\\.|'[^']*'?|"(?:\\.|[^"\\])*"?|[^\s'"\\]|\\$)*$""", line)[0]  # type: ignore[index]


def _insertion(value: str, typed: str, breaks: str) -> str:
    """What bash shall put in place of its last word: escaped, and without the part before a break."""
    option, equals, rest = typed.partition("=") if re.match("--[^=]+=", typed) else ("", "", typed)
    if rest[:1] in ("'", '"'):
        return value  # bash goes on inside the quotes, and closes them
    whole = option + equals + _SPECIAL.sub(r"\\\g<0>", value)
    begins = max((typed.rfind(char) for char in _BREAKS if char in breaks), default=-1) + 1
    return whole[begins:] if whole.startswith(typed[:begins]) else whole


def install() -> None:
    """Makes click use this for bash."""
    add_completion_class(NameAwareBash)
