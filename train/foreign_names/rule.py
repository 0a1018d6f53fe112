"""A rule: the meaning of some hyperparameters of other programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from train.values import canonical


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """The meaning of some hyperparameters of other programs.

    They are read as our hyperparameter `ours`, or ignored if `ours` is "". If `values` is not None, it maps patterns of values to
    our values, and all other values are refused. `answer` is the reason or the remedy.
    """

    names: tuple[str, ...]
    ours: str
    values: Mapping[str, str] | None
    answer: str

    def value(self, text: str) -> str | None:
        """Return our value for a value of another program; None if the value is refused."""
        if self.values is None:
            return text
        found = (new for pattern, new in self.values.items() if fnmatchcase(canonical(text), pattern))
        return next(found, None)


def same(names: str, ours: str, answer: str = "") -> Rule:
    """Return a rule for names that mean our hyperparameter `ours`, with the same values."""
    return Rule(names=tuple(names.split()), ours=ours, values=None, answer=answer)


def read(names: str, ours: str, values: Mapping[str, str], answer: str) -> Rule:
    """Return a rule for names that mean our hyperparameter `ours`, with other values."""
    return Rule(names=tuple(names.split()), ours=ours, values=values, answer=answer)


def ignored(names: str, answer: str, only: str = "") -> Rule:
    """Return a rule for names that are ignored; with `only`, other values than these are refused."""
    values = dict.fromkeys(only.split(), "") if only else None
    return Rule(names=tuple(names.split()), ours="", values=values, answer=answer)


def refused(names: str, answer: str) -> Rule:
    """Return a rule for names that are refused with every value."""
    return Rule(names=tuple(names.split()), ours="", values={}, answer=answer)
