"""`--override Operation.Member=JSON`: sets a member of a request that has no option of its own.

    --override CreateTrainingJob.RemoteDebugConfig.EnableRemoteDebug=true
    --override 'CreateEndpointConfig.ProductionVariants.0.RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}'
    --override CreateTrainingJob.ProfilerConfig=null

A member is a path with dots; a number in the path is an index in a list. A JSON object is merged into the member, null removes the
member, and any other value replaces it. Members that link one request to another are refused, because they have their own options.
"""

import copy
import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from classifier.errors import ConfigError
from launch.aws import model
from launch.aws.words import in_toml

# The members that link requests to each other, with the option or verb that sets each of them. `*` is any index in a list.
RESERVED = {
    "CreateTrainingJob": {"TrainingJobName": "--name"},
    "CreateHyperParameterTuningJob": {
        "HyperParameterTuningJobName": "--name",
        "WarmStartConfig": "--warm-start",
    },
    "CreateModel": {"ModelName": "--endpoint, which the model's name begins with"},
    "CreateEndpointConfig": {
        "EndpointConfigName": "--endpoint, which the configuration's name begins with",
        "ProductionVariants.*.ModelName": "--endpoint, which the model's name begins with",
        "ProductionVariants.*.VariantName": "nothing; the driver has one variant, AllTraffic",
    },
    "CreateEndpoint": {
        "EndpointName": "--endpoint",
        "EndpointConfigName": "--endpoint, which the configuration's name begins with",
    },
    "UpdateEndpoint": {
        "EndpointName": "--endpoint",
        "EndpointConfigName": "--endpoint, which the configuration's name begins with",
    },
    "CreateTransformJob": {"TransformJobName": "--name", "ModelName": "the model or endpoint that the verb names"},
}
TAGS = f"--tag, or {in_toml('tags')}: the same on every request"
OPERATIONS = tuple(RESERVED)

Overrides = Mapping[str, Mapping[str, object]]


def parse(texts: Sequence[str], operations: Collection[str] = OPERATIONS) -> dict[str, dict[str, object]]:
    """Return the values that the options set, by operation and by the member's path.

    `operations` are the operations that the verb may send. Raises ConfigError with all problems, one a line.
    """
    found: dict[str, dict[str, object]] = {}
    problems = []
    for text in texts:
        try:
            operation, path, value = _one(text, operations)
        except ConfigError as error:
            problems.append(f"--override {text}: {error}")
        else:
            found.setdefault(operation, {})[path] = value
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def of(texts: Sequence[str], operations: Collection[str]) -> list[str]:
    """Return the --override options for these operations."""
    return [text for text in texts if text.partition(".")[0] in operations]


def check_sent(chosen: Overrides, operations: Collection[str]) -> None:
    """Raise ConfigError for an override of a request that is not sent."""
    for operation in chosen:
        if operation not in operations:
            raise ConfigError(
                f"--override {operation}: this command does not send {operation}; it sends {', '.join(operations)}"
            )


def overridden(operation: str, request: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Return the request of an operation with its overrides applied; `request` itself is not changed."""
    changed: dict[str, Any] = copy.deepcopy(dict(request))
    for path, value in overrides.get(operation, {}).items():
        _set(changed, path, value)
    return changed


def _one(text: str, operations: Collection[str]) -> tuple[str, str, object]:
    target, equals, written = text.partition("=")
    operation, dot, path = target.partition(".")
    if not (equals and dot and path):
        raise ConfigError("write Operation.Member=JSON, as in CreateTrainingJob.InfraCheckConfig.EnableInfraCheck=true")
    if operation not in operations:
        raise ConfigError(f"this verb does not send {operation}{_meant(operation, operations)}")
    try:
        value = json.loads(written)
    except ValueError:
        raise ConfigError(f"{written} is not valid JSON; a text needs quotes, as in {json.dumps(written)}") from None
    _check_path(operation, path)
    return operation, path, value


def _check_path(operation: str, path: str) -> None:
    """Raise ConfigError if the API has no such member, or if another option sets it."""
    steps = path.split(".")
    general = ["*" if step.isdigit() else step for step in steps]
    for reserved, option in {**RESERVED[operation], "Tags": TAGS}.items():
        if _begins(general, reserved.split(".")):
            raise ConfigError(f"{path} links requests to each other and is set by {option}")
    shape = model.request_shape(operation)
    for number, step in enumerate(steps):
        before = ".".join([operation, *steps[:number]])
        if shape.type_name == "structure":
            if step not in shape.members:
                raise ConfigError(f"{before} has no member {step}{_meant(step, shape.members)}")
            shape = shape.members[step]
        elif shape.type_name == "list":
            if not step.isdigit():
                raise ConfigError(f"{before} is a list; write an index, as in {before}.0")
            shape = shape.member
        elif shape.type_name == "map":
            shape = shape.value
        else:
            raise ConfigError(f"{before} is a {shape.type_name}, which has no members")


def _begins(path: list[str], reserved: list[str]) -> bool:
    """Return whether a path lies inside a reserved member, or contains a reserved member."""
    return path[: len(reserved)] == reserved or (reserved[: len(path)] == path and len(path) < len(reserved))


def _meant(word: str, words: Collection[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; it is one of {', '.join(words)}"


def _set(place: Any, path: str, value: object) -> None:
    *steps, last = path.split(".")
    for number, step in enumerate(steps):
        if isinstance(place, list):
            place = _at(place, step, path)
        else:
            following = [*steps, last][number + 1]
            place = place.setdefault(step, [] if following.isdigit() else {})
    if isinstance(place, list):
        held = _at(place, last, path)
        place[int(last)] = _merged(held, value)
    elif value is None:
        place.pop(last, None)
    else:
        place[last] = _merged(place.get(last), value)


def _at(place: list[Any], step: str, path: str) -> Any:
    if int(step) >= len(place):
        raise ConfigError(f"--override {path}: the list has {len(place)} entries, so the index {step} does not exist")
    return place[int(step)]


def _merged(held: Any, value: object) -> object:
    if not (isinstance(held, dict) and isinstance(value, dict)):
        return value
    merged = dict(held)
    for name, member in value.items():
        if member is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), member)
    return merged
