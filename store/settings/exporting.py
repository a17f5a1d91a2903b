"""Functions that write all fields of a `Settings` as TOML, JSON or YAML, and read them back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from store.errors import StoreError
from store.settings.fields import as_dict
from store.settings.kinds import Source
from store.settings.schema import each
from store.settings.settings import Settings, values_of
from store.settings.text import format_of, target_of, text_of, values_in, write_file


def export(prefs: Settings[Any], format: str, *, with_env: bool = False) -> str:
    """All fields as a text in "toml", "json" or "yaml".

    TOML has no null: a list names the fields that are None, as `_none = ["proxy", "window.title"]`.

    Raises:
        CodecUnavailable: the library is missing (tomli-w, pyyaml). ValueError: the format cannot hold a value.
    """
    target, fields = target_of(format), values_of(prefs).schema.fields
    plain = each(
        as_dict(prefs, with_env=with_env),
        lambda name, value: None if value is None else fields[name].plain(value, target),
    )
    return text_of(plain, format)


def export_to(
    prefs: Settings[Any], path: str | os.PathLike[str], format: str | None = None, *, with_env: bool = False
) -> None:
    """Writes all fields to a file, which is replaced as a whole; its suffix tells the format, if nothing else does.

    Raises:
        OSError: it cannot be written. And as `export`.
    """
    path = os.fsdecode(path)
    if os.path.realpath(path) == os.path.realpath(values_of(prefs).store.location):
        raise ValueError(f"{path} is the store itself; name another file")
    write_file(path, export(prefs, format_of(path, format), with_env=with_env))


def import_(prefs: Settings[Any], text: str, format: str) -> None:
    """Stores the fields that a text in "toml", "json" or "yaml" names: all of them or, if one is bad, none.

    Each is assigned, so converted and validated by the class. Other fields stay as they are. Comments are lost: they
    are not in what `export` gives.

    Raises:
        ValueError: the text is not of that format, or names fields that are unknown or have bad values; each is
            named. CodecUnavailable: pyyaml is missing.
    """
    values = values_of(prefs)

    def imported(name: str, plain: Any) -> Any:
        try:
            field = values.schema.field(name)
        except AttributeError as exc:
            raise ValueError(str(exc)) from None
        return field.kind.take(plain, field.where, Source.TEXT)

    found = values_in(text, format)
    try:
        new = each(found, imported)
        values.write(new)
    except TypeError as exc:
        raise ValueError(str(exc)) from exc
    values.warn_of_variables(new)


def import_from(prefs: Settings[Any], path: str | os.PathLike[str], format: str | None = None) -> None:
    """Stores the fields that a file names, as `import_` does; its suffix tells the format, if nothing else does.

    Raises:
        OSError: it cannot be read. And as `import_`.
    """
    path = os.fsdecode(path)
    format = format_of(path, format)
    try:
        import_(prefs, Path(path).read_text(encoding="utf-8"), format)
    except StoreError:
        raise
    except ValueError as exc:
        raise ValueError(f"{path}: {exc}") from exc
