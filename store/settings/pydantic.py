"""Fields of pydantic models, and of dataclasses of pydantic: its own validation (2.11 and newer).

A write makes the whole model, so that validators of fields and of the model have their say. What is stored is what
pydantic writes as JSON; a read checks it against the field's type and constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag
from functools import cached_property
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from store.classes.shown import shown
from store.settings.containers import from_json
from store.settings.fields import Field, Schema
from store.settings.keys import known
from store.settings.types import Kind, Member, Target


class Validated(Kind):
    """What a type is to pydantic, with constraints."""

    def __init__(self, hint: Any, config: Any = None) -> None:
        self.hint, self.adapter = hint, _adapter(hint, config)
        self.name = getattr(hint, "__name__", str(hint))

    def check(self, value: Any, where: str) -> Any:
        try:
            made = self.adapter.validate_python(value, by_alias=True, by_name=True)
            return known(value, made, where, by_alias=True)
        except ValidationError as exc:
            raise ValueError(_told(exc, where)) from exc

    def plain(self, value: Any, target: Target, where: str) -> Any:
        try:
            return self.adapter.dump_python(value, mode="json", warnings="error", by_alias=False)
        except (PydanticSerializationError, ValueError) as exc:
            raise ValueError(f"{where}: pydantic cannot write {shown(value)} as plain data: {exc}") from exc

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        try:
            made = self.adapter.validate_json(to_json(plain), by_alias=False, by_name=True)
            return known(plain, made, where) if strict else made
        except (ValidationError, PydanticSerializationError) as exc:
            raise ValueError(_told(exc, where)) from exc

    def parse(self, text: str, where: str) -> Any:
        try:
            if text.lstrip()[:1] in ("[", "{"):
                made = self.adapter.validate_json(text, by_alias=True, by_name=True)
                return known(from_json(text, where, self.name), made, where, by_alias=True)
            return self.adapter.validate_strings(text)
        except ValidationError as exc:
            if isinstance(self.hint, type) and issubclass(self.hint, Flag):  # which pydantic reads of a number alone
                return Member(self.hint).parse(text, where)
            raise ValueError(_told(exc, where)) from exc


class FieldOfModel(Validated):
    """What a field of a model takes. A text is read by the bare type: the model runs the validators then, once."""

    def __init__(self, info: Any, config: Any) -> None:
        super().__init__(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation, config)
        self.name = getattr(info.annotation, "__name__", str(info.annotation))
        self._config, self._annotation = config, info.annotation

    def check(self, value: Any, where: str) -> Any:
        return value  # the model gave it: its validators must not run once more

    @cached_property
    def _bare(self) -> Validated:
        return Validated(self._annotation, self._config)

    def parse(self, text: str, where: str) -> Any:
        try:
            return self._bare.parse(text, where)
        except PydanticUserError as exc:  # a class of its own, which the validators know how to make
            raise ValueError(f"{where}: pydantic reads no {self.name} from a text") from exc


def schema_of_model(cls: Any) -> Schema:
    """The schema of a pydantic model. Raises: TypeError: a field has no default."""
    fields = {name: _field(cls, name, info) for name, info in cls.model_fields.items()}
    return Schema(cls, fields, lambda held, new: _built(cls, held, new), judges=True)


def _field(cls: Any, name: str, info: Any) -> Field:
    where = f"{cls.__name__}.{name}"
    if info.is_required():
        raise TypeError(
            f"{where} has no default, and Settings needs one for each field; for none at all write "
            f"`{name}: … | None = None`"
        )
    if getattr(info, "default_factory_takes_validated_data", False):
        raise TypeError(f"the default of {where} is made of other fields, which Settings does not know yet")
    kind = FieldOfModel(info, cls.model_config)
    return Field(name, where, kind, lambda: info.get_default(call_default_factory=True), converts=True)


def _adapter(hint: Any, config: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=config)
    except PydanticUserError:  # a model has a configuration of its own
        return TypeAdapter(hint)


def _built(cls: Any, held: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    try:
        made = cls.model_validate({**held, **new}, by_alias=False, by_name=True)
    except ValidationError as exc:
        raise ValueError(_told(exc, "")) from exc
    for name, value in new.items():
        known(value, getattr(made, name), f"{cls.__name__}.{name}")
    return made


def _told(exc: ValidationError | PydanticSerializationError, where: str) -> str:
    """What pydantic says, on one line, with the places that it names."""
    if not isinstance(exc, ValidationError):
        return f"{where}: {exc}"
    told = []
    for error in exc.errors(include_url=False, include_context=False):
        place = ".".join([*([where] if where else []), *map(str, error["loc"])])
        told.append(f"{place + ': ' if place else ''}{error['msg']}, not {shown(error['input'])}")
    return "; ".join(told)
