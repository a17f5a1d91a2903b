"""Tab completion: names and namespaces of the store that the command line names, quoted for bash.

A key press must have no side effect: completion only reads, creates no store and no key, prints nothing but the
completions, and gives none if anything is wrong.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    split_arg_string,
)

from store import Store

LIMIT = 200  # bash asks before it shows a hundred
LONGEST = 1000  # characters of a name

_SPECIAL = re.compile(r"[^\w@%+=:,./-]")  # what bash does not take literally
_SPECIAL_QUOTED = re.compile(r"[\\\"$`]")  # the same between double quotes

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

# As click's own, which cuts a name at its comma: the result may be the name of another record.
_SOURCE_FISH = """\
function %(complete_func)s;
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \
        %(prog_name)s 2>/dev/null);
    for completion in $response;
        set -l metadata (string split --max 1 -- "," $completion);
        switch $metadata[1];
            case dir;
                __fish_complete_directories $metadata[2];
            case file;
                __fish_complete_path $metadata[2];
            case plain;
                printf '%%s\\n' $metadata[2];
        end;
    end;
end;
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)";
"""


def complete_path(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, completed by the shell itself."""
    return [CompletionItem(incomplete, type="file")]


def complete_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names in the store at PATH and the namespace of the line so far, except those that the line has already."""
    namespace = context.params.get("namespace") or ""
    had = context.params.get(parameter.name or "") or ()
    return _items(
        name for name in _ask(context, lambda s: s.names(incomplete, limit=LIMIT), namespace) if name not in had
    )


def complete_namespaces(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Namespaces of the store at PATH; the unnamed one needs no option."""
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
    except Exception:  # an error message would end up in the line
        return []


def _path(context: click.Context) -> str | None:
    """The PATH of the line. While an option still lacks its value, click has not parsed the arguments."""
    path = context.params.get("path")
    if path is None and context.args:
        arguments = [one.name for one in context.command.params if isinstance(one, click.Argument)]
        place = arguments.index("path")
        path = context.args[place] if place < len(context.args) else None
    return path if isinstance(path, str) else None


def _items(found: Any) -> list[CompletionItem]:
    """The completions, without unprintable names, which cannot be typed, and those that look like an option."""
    literal = "--" in split_arg_string(os.environ.get("COMP_LINE") or os.environ.get("COMP_WORDS", ""))
    return [
        CompletionItem(one)
        for one in found
        if 0 < len(one) <= LONGEST and one.isprintable() and (literal or not one.startswith("-"))
    ]


class NameAwareBash(BashComplete):
    """click's completion for bash, for words that bash splits (`user:1`) or that need quoting."""

    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # set up by click's own script
            return super().get_completion_args()
        words = split_arg_string(line)
        self._word = _last_word(line, os.environ.get("COMP_WORDBREAKS", ""))
        if words and (self._word.text or self._word.quote or not line[-1:].isspace()):
            words.pop()
        return words[1:], self._word.text

    def format_completion(self, item: CompletionItem) -> str:
        word = getattr(self, "_word", None)
        if word is None or item.type != "plain":
            return super().format_completion(item)
        return f"{item.type},{_insertion(item.value, word)}"


def _insertion(value: str, word: Word) -> str:
    """The text that replaces the last part of a word, quoted so that bash runs none of it."""
    option, equals, _ = word.text.partition("=") if re.match("--[^=]+=", word.text) else ("", "", "")
    return _QUOTING[word.quote]((option + equals + value).removeprefix(word.text[: word.begins]))


class Word(NamedTuple):
    """The word that is being typed: its text without quotes, the quote that is open at its end, and what bash keeps.

    bash keeps the first `begins` characters of `text`: those before the open quote, or else those up to the last
    unquoted character that breaks words. It replaces the rest.
    """

    text: str
    quote: str
    begins: int


def _last_word(line: str, breaks: str) -> Word:
    text, quote, escaped, begins, before = "", "", False, 0, 0
    for char in line:
        if escaped:
            text += char if not quote or char in '\\"$`' else "\\" + char
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote and char == quote:
            quote, begins = "", before
        elif not quote and char in "'\"":
            quote, before, begins = char, begins, len(text)
        elif not quote and char.isspace():
            text, begins = "", 0
        else:
            text += char
            if not quote and char in breaks:
                begins = len(text) - (char == "@")  # bash takes it as the start of a host name
    return Word(text, quote, begins)


_QUOTING: dict[str, Callable[[str], str]] = {
    "": lambda text: _SPECIAL.sub(r"\\\g<0>", text),
    "'": lambda text: text.replace("'", "'\\''"),
    # Between double quotes a backslash would stop the history expansion of "!", but stay in the text.
    '"': lambda text: _SPECIAL_QUOTED.sub(r"\\\g<0>", text).replace("!", "\"'!'\""),
}
"""For each open quote, how to escape what bash does not take literally."""


class CommaAwareFish(FishComplete):
    """click's completion for fish, for names with a comma. fish quotes the inserted text itself."""

    source_template = _SOURCE_FISH


def install() -> None:
    """Makes click use these classes for bash and fish. zsh quotes the inserted text itself."""
    add_completion_class(NameAwareBash)
    add_completion_class(CommaAwareFish)
