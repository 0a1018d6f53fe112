"""Checks requests against AWS's own model of the API, including the constraints that clients do not check.

botocore's client checks types, required and unknown members and minima. AWS also enforces maxima, patterns and enumerations;
the text is AWS's ("1 validation error detected: Value 'x' at 'resourceConfig.instanceType' failed to satisfy constraint: ...").
"""

import functools
import math
import re as plain
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import regex
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from local_test.sagemaker.errors import ApiError

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
    "blob": (str,),
}


@functools.cache
def service(name: str = "sagemaker") -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def check(operation: str, request: dict[str, Any]) -> None:
    """Raise ApiError unless a request fits the model of its operation."""
    shape = service().operation_model(operation).input_shape
    if shape is None:
        return
    if found := list(_problems(shape, request, "")):
        errors = "error" if len(found) == 1 else "errors"
        raise ApiError("ValidationException", f"{len(found)} validation {errors} detected: {'; '.join(found)}")


def without_nulls(value: Any) -> Any:
    """Return a checked request without the members that are null, because AWS treats them as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


def problems(shape: Shape, value: Any, name: str) -> list[str]:
    """Return what is wrong with the value of one member."""
    return list(_problems(shape, value, _below("", name)))


def _problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not _of_type(shape, value):
        yield _sentence(value, path, f"Member must be of type {shape.type_name}")
    elif isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _length(shape, value, path)
        for number, member in enumerate(value, 1):
            yield from _problems(shape.member, member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _length(shape, value, path)
        for key, member in value.items():
            yield from _problems(shape.key, key, path)
            yield from _problems(shape.value, member, f"{path}.{key}.member")
    elif isinstance(value, str) and shape.type_name != "timestamp":
        yield from _text(shape, value, path)
    elif shape.type_name == "timestamp":
        if not _is_time(value):
            yield _sentence(value, path, "Member must be a time: seconds since 1970, or ISO 8601")
    elif not isinstance(value, bool):
        yield from _number(shape, value, path)


def _of_type(shape: Shape, value: Any) -> bool:
    # Python takes True for a number; JSON does not.
    return isinstance(value, KINDS[shape.type_name]) and (not isinstance(value, bool) or shape.type_name == "boolean")


def _is_time(value: float | str) -> bool:
    try:
        return math.isfinite(value) if not isinstance(value, str) else bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _structure(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _sentence(None, _below(path, name), "Member must not be null")
    for name, member in value.items():
        if name not in shape.members:
            # AWS may know a newer member. Ignoring it in silence would be a guess.
            yield _sentence(member, _below(path, name), "Member is unknown to the model of this emulator")
        elif member is not None:
            yield from _problems(shape.members[name], member, _below(path, name))


def _length(shape: Shape, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _sentence(value, path, f"Member must have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _sentence(value, path, f"Member must have length less than or equal to {high}")


def _text(shape: Shape, value: str, path: str) -> Iterator[str]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield _sentence(value, path, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    yield from _length(shape, value, path)
    pattern = shape.metadata.get("pattern")
    compiled = pattern and _compiled(pattern)
    if compiled and not compiled.fullmatch(value):
        yield _sentence(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _number(shape: Shape, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _sentence(value, path, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _sentence(value, path, f"Member must have value less than or equal to {high}")


@functools.cache
def _compiled(pattern: str) -> Any:
    """Return a Java pattern in the form of Python's `regex`; None for the few patterns with ranges of surrogates, which it cannot read."""
    if plain.search(r"\\uD[89A-F]", pattern, plain.IGNORECASE):
        return None
    try:
        return regex.compile(pattern)
    except regex.error:
        return None


def _below(path: str, name: str) -> str:
    """Return a member's path as AWS writes it: each name begins with a lower-case letter."""
    small = name[:1].lower() + name[1:]
    return f"{path}.{small}" if path else small


def _sentence(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
