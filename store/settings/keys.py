"""Keys of what pydantic was given that no field has: it ignores them, and a mistyped one would be lost.

A model that says `extra="allow"` or `extra="ignore"` itself means it, and one with a validator that goes before its
fields may take keys that no field has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from store.settings.containers import near_miss


def known(given: Any, made: Any, where: str, *, by_alias: bool = False) -> Any:
    """What was made of something. Raises: ValueError: that had a key, at any depth, which no field has.

    `by_alias`: it was read by the aliases of fields too, and not by their names alone.
    """
    if isinstance(given, list | tuple) and isinstance(made, list | tuple) and len(given) == len(made):
        for number, (one, its) in enumerate(zip(given, made, strict=True)):
            known(one, its, f"{where}[{number}]", by_alias=by_alias)
    elif isinstance(given, Mapping) and isinstance(made, Mapping):
        for key in given:
            if key in made:
                known(given[key], made[key], f"{where}[{key!r}]", by_alias=by_alias)
    elif isinstance(given, Mapping):
        _check_fields(given, made, where, by_alias)
    return made


def _check_fields(given: Mapping[Any, Any], made: Any, where: str, by_alias: bool) -> None:
    fields = _fields_of(type(made), by_alias)
    names = {key: name for name, keys in fields.items() for key in keys}
    for key in given:
        if key in names:
            known(given[key], getattr(made, names[key], None), f"{where}.{names[key]}", by_alias=by_alias)
        elif fields and not _takes_others(type(made)):
            raise ValueError(f"{where} has no field {key!r}{near_miss(str(key), names)}")


def _fields_of(cls: Any, by_alias: bool) -> dict[str, list[str]]:
    """The fields of a model or a dataclass, each with the keys that give it."""
    found = getattr(cls, "__pydantic_fields__", None)
    if found is None and dataclasses.is_dataclass(cls):
        return {field.name: [field.name] for field in dataclasses.fields(cls)}
    return {
        name: [name, *(_aliases(info.validation_alias) if by_alias else [])] for name, info in (found or {}).items()
    }


def _aliases(alias: Any) -> list[str]:
    """The keys of an alias: a name, the beginning of a path, or a choice of those."""
    if hasattr(alias, "choices"):
        return [key for one in alias.choices for key in _aliases(one)]
    found = alias.path[:1] if hasattr(alias, "path") else [alias]
    return [key for key in found if isinstance(key, str)]


def _takes_others(cls: Any) -> bool:
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    decorators = getattr(cls, "__pydantic_decorators__", None)
    validators = () if decorators is None else decorators.model_validators.values()
    return config.get("extra") in ("allow", "ignore") or any(one.info.mode != "after" for one in validators)
