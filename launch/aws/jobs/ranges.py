"""The hyperparameters that a tuning job varies: those of `--range` and `--choice`, or the default ranges."""

import dataclasses
import math
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Literal

from classifier.errors import ConfigError
from launch.aws.specification import Range, Strategy
from train.config import TUNING_RANGES, Config, hyphenated, nothing_left, parse, searched, translated

Scale = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
SCALES: dict[str, Scale] = {
    "auto": "Auto",
    "linear": "Linear",
    "log": "Logarithmic",
    "reverse-log": "ReverseLogarithmic",
}
EPOCHS = "epochs"  # the hyperparameter that Hyperband raises for promising jobs


def ranges(options: Namespace, hyperparameters: Mapping[str, str]) -> tuple[Range, ...]:
    """Return the ranges that the tuning job varies; raises ConfigError with every problem, one a line."""
    if not (options.ranges or options.choices):
        return _original(hyperparameters, options.strategy)
    found: list[Range] = []
    problems: list[str] = []
    for text in options.ranges:
        _collect(found, problems, f"--range {text}", lambda text=text: _between(text))
    for text in options.choices:
        _collect(found, problems, f"--choice {text}", lambda text=text: _one_of(text))
    names = [one.name for one in found]
    problems += [
        f"{name} is varied twice; keep one of its ranges" for name in sorted(set(names)) if names.count(name) > 1
    ]
    fixed = translated(hyperparameters).values
    problems += [
        f"{name} is varied, and --set gives it a value; keep only one of the two" for name in names if name in fixed
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(found)


def original(names: Iterable[str]) -> tuple[Range, ...]:
    """Return the default ranges of these hyperparameters."""
    found = []
    for name in names:
        space = TUNING_RANGES[name]
        if "choices" in space:
            found.append(Range(name=name, values=tuple(map(str, space["choices"]))))
        else:
            scale: Scale = "Logarithmic" if space["log"] else "Linear"
            found.append(Range(name=name, low=str(space["low"]), high=str(space["high"]), scale=scale))
    return tuple(found)


def combinations(wanted: tuple[Range, ...]) -> int:
    """Return the number of combinations of values. Raises ConfigError for a range between two numbers, which has no number of values."""
    endless = [one.name for one in wanted if not one.values]
    if endless:
        raise ConfigError(
            f"--strategy Grid takes only lists of values, and {', '.join(endless)} is a range; write --choice {endless[0]}=A,B instead"
        )
    return math.prod(len(one.values) for one in wanted)


def shown(one: Range) -> str:
    """Return a range as one phrase."""
    if one.values:
        return f"{one.name} {' or '.join(one.values)}"
    scale = next(word for word, scale in SCALES.items() if scale == one.scale)
    return f"{one.name} {one.low} to {one.high} ({scale})"


def _original(hyperparameters: Mapping[str, str], strategy: Strategy) -> tuple[Range, ...]:
    names = [name for name in searched(hyperparameters) if not (strategy == "Hyperband" and name == EPOCHS)]
    if not names:
        raise ConfigError(
            f"{nothing_left(hyperparameters)}; leave out --set for the hyperparameters to tune, name another "
            "hyperparameter with --range or --choice, or run byoc train"
        )
    return original(names)


def _collect(found: list[Range], problems: list[str], what: str, read: object) -> None:
    assert callable(read)
    try:
        found.append(read())
    except ConfigError as error:
        problems.append(f"{what}: {error}")


def _between(text: str) -> Range:
    name, equals, rest = text.partition("=")
    low, *more = rest.split(":")
    if not (equals and more and len(more) <= 2):
        raise ConfigError("write NAME=LOW:HIGH or NAME=LOW:HIGH:SCALE, as in lr=0.001:0.1:log")
    high, scale = more[0], more[1] if len(more) == 2 else "auto"
    if scale not in SCALES:
        raise ConfigError(f"{scale} is not a scale; the scales are {', '.join(SCALES)}")
    kind = _type(name)
    if kind not in ("int", "float"):
        raise ConfigError(f"{name} is not a number; write --choice {name}=A,B")
    _check(name, low)
    _check(name, high)
    if float(low) >= float(high):
        raise ConfigError(f"{low} is not below {high}")
    if SCALES[scale] == "Logarithmic" and float(low) <= 0:
        raise ConfigError(f"a log scale needs numbers above 0, and {low} is not")
    if SCALES[scale] == "ReverseLogarithmic" and (kind == "int" or not 0 <= float(low) <= float(high) < 1):
        raise ConfigError("a reverse-log scale needs numbers from 0 to below 1, and does not take whole numbers")
    return Range(name=_own(name), low=low, high=high, whole=kind == "int", scale=SCALES[scale])


def _one_of(text: str) -> Range:
    name, equals, rest = text.partition("=")
    values = tuple(value.strip() for value in rest.split("|" if "|" in rest else ","))
    if not equals or len(values) < 2:
        raise ConfigError("write NAME=A,B with two values or more, as in batch-size=64,128")
    for value in values:
        _check(name, value)
    if len(set(values)) < len(values):
        raise ConfigError("a value occurs twice")
    return Range(name=_own(name), values=values)


def _own(name: str) -> str:
    """Return byoc's own name of a hyperparameter that may be given by the name of another program."""
    return next(iter(translated({name: "1"}).called), name)


def _type(name: str) -> str:
    """Return the type of a hyperparameter. Raises ConfigError for a name that the training program does not know."""
    own = _own(name)
    for knob in dataclasses.fields(Config):
        if hyphenated(knob.name) == own:
            return knob.type if isinstance(knob.type, str) else knob.type.__name__
    raise ConfigError(f"training knows no hyperparameter {name}; python -m train --help lists all of them")


def _check(name: str, value: str) -> None:
    _type(name)
    parse({name: value})
