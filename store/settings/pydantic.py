"""Fields of pydantic models, and of dataclasses of pydantic: its own validation (2.11 and newer).

A write makes the whole model, so that validators of fields and of the model run. What is stored is what pydantic
writes as JSON; a read checks it against the field's type and constraints.

pydantic ignores keys that no field has, and a mistyped one would be lost: `_known` refuses them. A model that says
`extra="allow"` or `extra="ignore"` itself means it, and a validator that runs before the fields may take other keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Flag
from functools import cached_property
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from store.classes.shown import shown
from store.settings.kinds import Source, from_json, near_miss
from store.settings.leaves import Member
from store.settings.schema import Field, Schema, no_default


class Validated:
    """A type as pydantic has it, with constraints.

    A field of a model has its `bare` type too. The model itself takes what a program assigns, and runs the
    validators once; so a text is read by the bare type.
    """

    def __init__(self, hint: Any, config: Any = None, bare: Any = None) -> None:
        self.hint, self._config, self._bare = hint, config, bare
        self.name = getattr(bare or hint, "__name__", str(bare or hint))
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(hint, config=config)
        except PydanticUserError:  # a model has a configuration of its own
            self.adapter = TypeAdapter(hint)

    def take(self, value: Any, where: str, source: Source) -> Any:
        if source is Source.PROGRAM and self._bare is not None:
            return value
        try:
            if source is Source.PROGRAM:
                made = self.adapter.validate_python(value, by_alias=True, by_name=True)
            else:
                made = self.adapter.validate_json(to_json(value), by_alias=False, by_name=True)
        except (ValidationError, PydanticSerializationError) as exc:
            raise ValueError(_message(exc, where)) from exc
        return made if source is Source.STORE else _known(value, made, where, by_alias=source is Source.PROGRAM)

    def plain(self, value: Any, where: str) -> Any:
        try:
            return self.adapter.dump_python(value, mode="json", warnings="error", by_alias=False)
        except (PydanticSerializationError, ValueError) as exc:
            raise ValueError(f"{where}: pydantic cannot write {shown(value)} as plain data: {exc}") from exc

    def parse(self, text: str, where: str) -> Any:
        if self._bare is not None:
            return self._reader.parse(text, where)
        try:
            if text.lstrip()[:1] in ("[", "{"):
                made = self.adapter.validate_json(text, by_alias=True, by_name=True)
                return _known(from_json(text, where, self.name), made, where, by_alias=True)
            return self.adapter.validate_strings(text)
        except ValidationError as exc:
            if isinstance(self.hint, type) and issubclass(self.hint, Flag):  # which pydantic reads of a number alone
                return Member(self.hint).parse(text, where)
            raise ValueError(_message(exc, where)) from exc

    @cached_property
    def _reader(self) -> Validated:
        try:
            return Validated(self._bare, self._config)
        except PydanticUserError as exc:  # an arbitrary class, which only the validators can make
            raise ValueError(f"pydantic reads no {self.name} from a text") from exc


def schema_of_model(cls: Any) -> Schema:
    """The schema of a pydantic model. Raises: TypeError: a field has no default."""
    fields = {name: _field(cls, name, info) for name, info in cls.model_fields.items()}
    return Schema(cls, fields, lambda held, new: _built(cls, held, new), has_validators=True)


def _field(cls: Any, name: str, info: Any) -> Field:
    where = f"{cls.__name__}.{name}"
    if info.is_required():
        raise no_default(where, name)
    if getattr(info, "default_factory_takes_validated_data", False):
        raise TypeError(f"the default of {where} is made of other fields, which Settings does not know yet")
    hint = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    kind = Validated(hint, cls.model_config, bare=info.annotation)
    return Field(name, where, kind, lambda: info.get_default(call_default_factory=True), converts=True)


def _built(cls: Any, held: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    try:
        made = cls.model_validate({**held, **new}, by_alias=False, by_name=True)
    except ValidationError as exc:
        raise ValueError(_message(exc, "")) from exc
    for name, value in new.items():
        _known(value, getattr(made, name), f"{cls.__name__}.{name}")
    return made


def _message(exc: ValidationError | PydanticSerializationError, where: str) -> str:
    """What pydantic says, on one line, with the places that it names."""
    if not isinstance(exc, ValidationError):
        return f"{where}: {exc}"
    messages = []
    for error in exc.errors(include_url=False, include_context=False):
        place = ".".join([*([where] if where else []), *map(str, error["loc"])])
        messages.append(f"{place + ': ' if place else ''}{error['msg']}, not {shown(error['input'])}")
    return "; ".join(messages)


def _known(given: Any, made: Any, where: str, *, by_alias: bool = False) -> Any:
    """What pydantic made. Raises: ValueError: what was given has a key, at any depth, that no field has.

    `by_alias`: the aliases of fields were read too, and not their names alone.
    """
    if isinstance(given, list | tuple) and isinstance(made, list | tuple) and len(given) == len(made):
        for number, (one, its) in enumerate(zip(given, made, strict=True)):
            _known(one, its, f"{where}[{number}]", by_alias=by_alias)
    elif isinstance(given, Mapping) and isinstance(made, Mapping):
        for key in given:
            if key in made:
                _known(given[key], made[key], f"{where}[{key!r}]", by_alias=by_alias)
    elif isinstance(given, Mapping):
        _check_fields(given, made, where, by_alias)
    return made


def _check_fields(given: Mapping[Any, Any], made: Any, where: str, by_alias: bool) -> None:
    fields = _fields_of(type(made), by_alias)
    names = {key: name for name, keys in fields.items() for key in keys}
    for key in given:
        if key in names:
            _known(given[key], getattr(made, names[key], None), f"{where}.{names[key]}", by_alias=by_alias)
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
