"""Plain data by name as text that people read and edit, in TOML, JSON or YAML, and back.

A store keeps values alone: comments and the layout of a text are lost. TOML has no null: a list of its own names the
values that are None, as `_none = ["proxy", "window.title"]`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from store.codecs import codecs
from store.errors import Corrupt, NotSerializable
from store.settings.kinds import SCALARS, Target
from store.system.syncing import sync_file, sync_folder

_YAML_KEYS = frozenset({*SCALARS, bytes, datetime, date})
FORMATS = {
    "toml": Target("TOML", frozenset({*SCALARS, datetime, date, time}), frozenset({str})),
    "json": Target("JSON", frozenset(SCALARS), frozenset({str})),
    "yaml": Target("YAML", _YAML_KEYS, _YAML_KEYS),
}
SUFFIXES = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
# A string of TOML, of the four kinds (https://toml.io/en/v1.0.0#string), or a comment.
_TOML_COMMENT = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|(?P<comment>\#)''', re.DOTALL
)
NONE = "_none"  # no field is called so: names that begin with "_" are refused


def target_of(format: str) -> Target:
    """What plain data must be for a format. Raises: ValueError: there is no such format."""
    try:
        return FORMATS[format]
    except (KeyError, TypeError):
        raise ValueError(f"unknown format {format!r}: one of {', '.join(FORMATS)}") from None


def format_of(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format given, or that of a file's suffix. Raises: ValueError: neither tells."""
    if format is not None:
        target_of(format)
        return format
    try:
        return SUFFIXES[Path(path).suffix.lower()]
    except KeyError:
        raise ValueError(
            f"{os.fspath(path)} does not end in {', '.join(SUFFIXES)}: name the format, one of {', '.join(FORMATS)}"
        ) from None


def text_of(values: Mapping[str, Any], format: str) -> str:
    """Plain data by name as text. Its leaves are None and those that the format has.

    Raises:
        CodecUnavailable: the library is not installed. ValueError: the format cannot hold it.
    """
    target = target_of(format)
    plain = dict(values)
    if format == "toml":
        paths: list[str] = []
        plain = _pruned(values, "", paths)
        if paths:
            plain[NONE] = paths
    codec = codecs.load(format)
    try:
        text: str = codec.encode(plain, 1).decode()
    except NotSerializable as exc:
        raise ValueError(f"{target.format} cannot hold the settings: {str(exc).partition('; ')[0]}") from exc
    return json.dumps(plain, indent=2, ensure_ascii=not text.isprintable()) + "\n" if format == "json" else text


def values_in(text: str, format: str) -> dict[str, Any]:
    """Plain data by name, from a text. Raises: CodecUnavailable, ValueError: it is something else."""
    target = target_of(format)
    if not isinstance(text, str):
        raise TypeError(f"the text is a str, not {type(text).__name__}")
    try:
        if format == "toml":
            found: Any = tomllib.loads(text)  # which needs no library
        else:
            found = codecs.load(format).decode_restricted(text.encode(), allow={})
    except (Corrupt, ValueError, RecursionError) as exc:
        raise ValueError(f"the text is not {target.format}: {exc}") from exc
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"the text is {target.format}, and no table of fields by name")
    if format == "toml":
        _put_none_back(found)
    return found


def has_comments(text: str, format: str) -> bool:
    """Whether a text that `values_in` has read has comments, which are lost. JSON has none."""
    if format == "toml":
        return any(found["comment"] for found in _TOML_COMMENT.finditer(text))
    if format == "yaml":
        from store.codecs.yaml import codec as yaml  # for YAML alone: it needs a library

        return yaml.has_comments(text)
    return False


def write_file(path: str | os.PathLike[str], text: str) -> None:
    """Write the text to a file, which has all of it or, after a failure, what it had before. Raises: OSError."""
    target = os.path.realpath(path)  # a link stays one
    descriptor, draft = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".settings-")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            sync_file(file)
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
    sync_folder(os.path.dirname(target))


def _pruned(value: Any, path: str, paths: list[str]) -> Any:
    """The value without what is None, whose paths are put into a list. Raises: ValueError: a list holds None."""
    if isinstance(value, list):
        return [_pruned(item, f"{path}[{n}]", paths) for n, item in enumerate(value)]
    if value is None or not isinstance(value, Mapping):
        if value is None:
            raise ValueError(f"{path} is None, and TOML has nothing for that there; use JSON or YAML")
        return value
    found = {}
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        if item is not None:
            found[key] = _pruned(item, inner, paths)
        elif any(char in key for char in ".[]"):
            raise ValueError(f"{inner} is None, and TOML has nothing for that there; use JSON or YAML")
        else:
            paths.append(inner)
    return found


def _put_none_back(found: dict[str, Any]) -> None:
    """Set to None what the list in the text names. Raises: ValueError: it is no list of paths, or names a value."""
    paths = found.pop(NONE, [])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError(f"{NONE} is a list of the names of fields that are None")
    for path in paths:
        *outer, name = re.findall(r"[^.\[\]]+|\[\d+\]", path) or [""]
        place: Any = found
        for step in outer:
            place = _inside(place, step)
        if not isinstance(place, dict) or name in place:
            raise ValueError(f"{path} has a value and stands in {NONE} too; take it out of one of them")
        place[name] = None


def _inside(place: Any, step: str) -> Any:
    """The part of a dict or list at one step of a path. A dict that is missing held nothing but None."""
    if isinstance(place, dict):
        return place.setdefault(step, {})
    if isinstance(place, list) and step.startswith("[") and int(step[1:-1]) < len(place):
        return place[int(step[1:-1])]
    return None
