"""Reads a job's hyperparameters, whose names may be those of other programs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from classifier.errors import ConfigError
from train.foreign_names.rule import Rule
from train.foreign_names.rules import BY_NAME
from train.values import canonical, plain_name, plain_text, short

# Names of the platform that do not begin with sagemaker_ (sagemaker-training, params.py).
_PLATFORM = frozenset({"default-user-module-name", "-tuning-objective-metric"})
# A known name that is at least this similar is suggested; optimiser and optimizer have 0.89, drop and dropout 0.73.
HINT = 0.8


@dataclass(frozen=True, kw_only=True)
class Given:
    """A job's hyperparameters. `values` holds their texts by our names.

    `called` maps our names to those that the job used. `notes` are sentences about translated and ignored names, `problems` about refused
    names.
    """

    values: Mapping[str, str]
    called: Mapping[str, str]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def translate(hyperparameters: Mapping[str, object], ours: Collection[str]) -> Given:
    """Return the meaning of a job's hyperparameters; `ours` are the names of this program.

    Names of the platform are left out, and so are values that stand for "not given". Problems are unknown names, names that are
    refused, and two names for one hyperparameter with different values.
    """
    found: dict[str, dict[str, str]] = {}  # our name -> the names that the job used -> values
    read = dict[str, str]()
    unknown, problems = list[str](), list[str]()
    ignored, refused = dict[Rule, list[str]](), dict[Rule, list[str]]()
    for name, value in hyperparameters.items():
        plain = plain_name(name)
        if plain.startswith("sagemaker-") or plain in _PLATFORM:
            continue
        try:
            text = plain_text(name, value)
        except ConfigError as error:
            problems.append(str(error))
            continue
        if text is None:
            continue
        rule = BY_NAME.get(plain)
        new = rule.value(text) if rule else None
        if plain in ours and new is None:
            found.setdefault(plain, {})[name] = text
        elif rule is None:
            unknown.append(name)
        elif new is None:
            refused.setdefault(rule, []).append(f"{name}={short(text)}" if rule.values else name)
        elif rule.ours:
            found.setdefault(rule.ours, {})[name] = new
            read[name] = f"{name} is read as {rule.ours}" + (f"={new}" if rule.values else "")
        else:
            ignored.setdefault(rule, []).append(name)
    _early_stopping(found.get("early-stopping", {}), hyperparameters)
    for ours_, values in found.items():
        if len({canonical(text) for text in values.values()}) > 1:
            said = " and ".join(f"{name}={short(str(hyperparameters[name]))}" for name in values)
            problems.append(f"hyperparameters {said} both mean {ours_} and differ; leave one of them out")
    problems += [f"{_listed(names)} no place here: {rule.answer}" for rule, names in refused.items()]
    if unknown:
        problems.append(_unknown(unknown, ours))
    used = [read[name] for values in found.values() for name in values if name in read]
    notes = ["hyperparameters: " + ", ".join(used)] if used else []
    if ignored:
        reasons = "; ".join(f"{', '.join(names)} ({rule.answer})" for rule, names in ignored.items())
        notes.append(f"hyperparameters that change nothing here and are ignored: {reasons}")
    return Given(
        values={name: next(iter(values.values())) for name, values in found.items()},
        called={name: next(iter(values)) for name, values in found.items()},
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _early_stopping(values: dict[str, str], hyperparameters: Mapping[str, object]) -> None:
    """Combine early_stopping=True or False with a hyperparameter that names the patience.

    True uses that patience; False makes it have no effect.
    """
    switch = next((name for name in values if plain_name(name) == "early-stopping"), None)
    if switch is None or len(values) < 2:
        return
    said = canonical(plain_text(switch, hyperparameters[switch]) or "")
    if said == "true":
        del values[switch]
    elif said == "false":
        for name in values.keys() - {switch}:
            del values[name]


def _listed(names: list[str]) -> str:
    return f"hyperparameter {names[0]} has" if len(names) == 1 else f"hyperparameters {', '.join(names)} have"


def _unknown(names: list[str], ours: Collection[str]) -> str:
    """Return a sentence on unknown names, each with the known name that is most similar, if possible one of ours."""
    read = [name for name, rule in BY_NAME.items() if rule.ours]
    said = []
    for name in names:
        near = [
            match for known in (ours, read) for match in get_close_matches(plain_name(name), known, n=1, cutoff=HINT)
        ]
        said.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    verb = "hyperparameter {} is unknown" if len(names) == 1 else "hyperparameters {} are unknown"
    return f"{verb.format(', '.join(said))}; leave out names that are not in this list: {', '.join(ours)}"
