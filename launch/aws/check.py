"""Checks requests before anything is sent, against botocore's model of the API and against rules between members.

All problems are reported at once. Each problem names the option or the entry of byoc.toml that set the member, if there is one.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from classifier.errors import ConfigError
from launch.aws import model
from launch.aws.rules import hosting, training, transform, tuning
from launch.aws.words import compiled, many, meant, named, source, wanted

RULES = {
    "CreateTrainingJob": training.RULES,
    "CreateHyperParameterTuningJob": tuning.RULES,
    "CreateModel": hosting.MODEL,
    "CreateEndpointConfig": hosting.CONFIG,
    "CreateTransformJob": transform.RULES,
}
# The types of the API's model, as Python types and in words for errors.
TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a text"),
    "integer": ((int,), "a whole number"),
    "long": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "double": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "structure": ((dict,), "an object"),
    "map": ((dict,), "an object"),
    "list": ((list,), "a list"),
}


def check(operation: str, request: dict[str, Any]) -> None:
    """Raise ConfigError with all problems for which AWS would refuse a request, one problem a line."""
    check_all([(operation, request)])


def check_all(requests: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Check the requests of one verb, each by itself and all together: a model, for example, must fit its endpoint."""
    problems = []
    for operation, request in requests:
        shape = model.request_shape(operation)
        malformed = list(_malformed(shape, request, ()))
        problems += malformed or [
            *_refused(shape, request, ()),
            *(text for rule in RULES.get(operation, ()) for text in rule(request)),
        ]
    if not problems:
        problems = list(hosting.between(dict(requests)))
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


Path = tuple[str | int, ...]


def _children(shape: Any, value: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """Yield the members or items of a value, each with its shape and its path."""
    if shape.type_name == "structure":
        yield from ((shape.members[name], value[name], (*path, name)) for name in value if name in shape.members)
    elif shape.type_name == "list":
        yield from ((shape.member, one, (*path, place)) for place, one in enumerate(value))
    elif shape.type_name == "map":
        yield from ((shape.value, one, (*path, name)) for name, one in value.items())


def _malformed(shape: Any, value: Any, path: Path) -> Iterator[str]:
    """Yield problems of form: wrong types, and members that are missing or unknown."""
    kinds, words = TYPES[shape.type_name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield f"{named(path)} is {value!r}; it must be {words}{source(path)}"
        return
    if isinstance(value, dict) and shape.type_name == "structure":
        for name in value.keys() - shape.members.keys():
            yield f"{named((*path, name))} is unknown{meant(name, shape.members)}"
        for name in shape.required_members:
            if name not in value:
                yield f"{named((*path, name))} is missing{source((*path, name))}"
    for child in _children(shape, value, path):
        yield from _malformed(*child)


def _refused(shape: Any, value: Any, path: Path) -> Iterator[str]:
    """Yield problems of values: outside of the model's enumerations, patterns, lengths or ranges."""
    choices, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if choices and value not in choices:
        yield f"{named(path)} is {value!r}, which AWS does not have{meant(value, choices)}{source(path)}"
    elif pattern and not compiled(pattern).fullmatch(value):
        yield f"{named(path)} is {value!r}; {wanted(pattern)}{source(path)}"
    else:
        yield from _sized(shape, value, path)
    if shape.type_name == "map":
        for key in value:
            yield from _refused(shape.key, key, (*path, key))
    for child in _children(shape, value, path):
        yield from _refused(*child)


def _sized(shape: Any, value: Any, path: Path) -> Iterator[str]:
    number = shape.type_name in ("integer", "long", "float", "double")
    if not number and shape.type_name not in ("string", "list", "map"):
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size = value if number else len(value)
    if (low is None or size >= low) and (high is None or size <= high):
        return
    limit = f"at most {high}" if high is not None and size > high else f"at least {low}"
    is_ = f"is {value}" if number else f"has {many(shape.type_name, size)}"
    yield f"{named(path)} {is_}; {limit} {'is' if number or limit.endswith(' 1') else 'are'} allowed{source(path)}"


@functools.cache
def types(member: str) -> tuple[str, ...]:
    """Return the instance types that the API knows for training, endpoints or transform jobs."""
    shape = {
        "training": "TrainingInstanceType",
        "endpoint": "ProductionVariantInstanceType",
        "transform": "TransformInstanceType",
    }[member]
    return tuple(model.service().shape_for(shape).enum)
