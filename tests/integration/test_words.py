"""The words of the package are plain: docstrings, comments and messages of `store/` have no riddles in them.

`LEFT` counts, for each part of the package, the phrases that are still there. A count may only fall: when it does, write the
lower number here, and remove the part at 0.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent

# Phrase → what to write instead. Each is one that a reader must decode; case does not count.
PHRASES = {
    r"who(m)?ever": "name the subject: the caller, a process, a person who …",
    r"what (was|had|did|would|stands?|lies|lay|came|comes|goes|went)\b": "name the thing",
    r"(is|are|was|were|being|be) told": "is reported, is recognised by, is notified",
    r"nobody (needs|knows|asks|asked|has|is|was|may|could|can)": "say who does what: no caller, no process",
    r"with restraint": "restricted",
    r"there is one (door|way in)": "every path decodes through values.pipeline",
    r"as it (once )?was\b": "unchanged, as before",
    r"\bis none of\b": "is not one of",
    r"woven|\bmaze\b": "crafted links",
    r"\bgives? up for\b|gave up for": "backs off",
    r"\bbe it\b": "whether … or …",
    r"that is one that|which is what": "subject, verb, object",
    r"(?-i:\bWho\b)|\bwho (asks|reads|writes|wants)\b": "the caller, a reader, a process that …",
    r"amid\b": "during",
    r"\bstruck\b|\bstrikes?\b": "runs during, interrupts",
    r"\bbears?\b": "has",
    r"\bone of (ours|yours|mine)\b|\bof somebody's\b": "our own …, a … of another user",
    r"come[s]? back as something else": "does not round-trip",
    r"goes on where it": "resumes",
}
# Names of the glossary that have a plainer one. Counted as identifiers.
NAMES = {
    r"\bBeside\b": "BufferCollector",
    r"\bclass Finding\b|\bFinding\(": "RenamingUnpickler",
    r"\b_moves_on\b": "_check_progress",
    r"\b(is_)?judge[sd]\b": "validated, has_validators",
    r"\bis_lost\b": "is_forked",
    r"\bSlot\b": "ThreadConnection",
}

# Part of the package → phrases and names that are still there.
LEFT = {
    "aio": 2, "care": 2, "cli": 3, "mapping": 2, "messages": 1, "sessions": 2, "settings": 2,
}  # fmt: skip


def prose(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings, comments and other text of a module: (line, text on one line)."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            yield token.start[0], re.sub(r"\s+", " ", token.string)


def found(source: str) -> Iterator[str]:
    """What should be written in another way: "line: phrase → what to write"."""
    for line, text in prose(source):
        for phrase, instead in PHRASES.items():
            for match in re.finditer(phrase, text, re.IGNORECASE):
                yield f"{line}: {match[0]!r} → {instead}"
    for name, instead in NAMES.items():
        for match in re.finditer(name, source):
            yield f"{source.count(chr(10), 0, match.start()) + 1}: {match[0]} → {instead}"


PARTS = sorted({file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.slow
def test_no_part_gains_a_riddle(part: str) -> None:
    files = sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / part]
    phrases = [f"{file.relative_to(PACKAGE)}:{it}" for file in files for it in found(file.read_text("utf-8"))]
    assert len(phrases) <= LEFT.get(part, 0), "\n".join(["write these in another way:", *phrases])


def test_phrases_are_found_in_docstrings_comments_and_messages() -> None:
    source = '''"""Tells whoever reads it,\n   with\nrestraint."""\nclass Slot:  # what was left\n    raise X(f"{x} is told")'''
    assert [it.partition(" →")[0] for it in found(source)] == [
        "1: 'whoever'", "1: 'with restraint'", "4: 'what was'", "5: 'is told'", "4: Slot"
    ]  # fmt: skip
