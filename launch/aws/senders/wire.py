"""Turns a specification into JSON and back, to hand it to the SDK's process."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return a frozen value as JSON values."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def typed(type_: type[T], value: Any) -> T:
    """Return the value of this type from the JSON values that plain() made of it."""
    made: T = _typed(type_, value)
    return made


def _typed(type_: Any, value: Any) -> Any:
    origin, parts = get_origin(type_), get_args(type_)
    if dataclasses.is_dataclass(type_):
        hints = get_type_hints(type_)
        return type_(**{name: _typed(hints[name], one) for name, one in value.items()})  # type: ignore[operator]
    if origin in (Union, types.UnionType):
        (other,) = [part for part in parts if part is not type(None)]
        return None if value is None else _typed(other, value)
    if origin is tuple:
        kinds = [parts[0]] * len(value) if parts[1:] == (...,) else parts
        return tuple(_typed(kind, one) for kind, one in zip(kinds, value, strict=True))
    if origin is Literal or origin is not None:
        return value
    return Path(value) if type_ is Path else value
