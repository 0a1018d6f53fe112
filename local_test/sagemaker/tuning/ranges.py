"""The hyperparameters that a tuning job searches, from ParameterRanges, where numbers are strings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated

INTEGER, CONTINUOUS, CATEGORICAL = "Integer", "Continuous", "Categorical"
MOST = 30  # the most hyperparameters with a range (API, ParameterRanges)


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter and the values that it may take."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    scaling: str = "Auto"
    values: tuple[str, ...] = ()  # the values of a categorical hyperparameter

    def internal(self, text: str) -> Any:
        """Return the search's value for a training job's text; raises ValueError."""
        if self.kind == CATEGORICAL:
            return text
        number = int(text) if self.kind == INTEGER else float(text)
        return 1 - number if self.scaling == "ReverseLogarithmic" else number

    def text(self, value: Any) -> str:
        """Return the text that the training job gets (C 2: values are strings)."""
        return str(1 - value if self.scaling == "ReverseLogarithmic" else value)


def parameters(ranges: Mapping[str, Any]) -> list[Parameter]:
    """Return the hyperparameters of a ParameterRanges; raises ApiError for a range that holds no possible value."""
    if ranges.get("AutoParameters"):
        raise not_emulated("ParameterRanges with AutoParameters (Autotune)")
    found = [
        *(_number(entry, INTEGER) for entry in ranges.get("IntegerParameterRanges") or []),
        *(_number(entry, CONTINUOUS) for entry in ranges.get("ContinuousParameterRanges") or []),
        *(_category(entry) for entry in ranges.get("CategoricalParameterRanges") or []),
    ]
    names = [parameter.name for parameter in found]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"the hyperparameter '{name}' has more than one range")
    if not found:
        raise invalid("ParameterRanges names no hyperparameter, so there is nothing to tune; give at least one range")
    if len(found) > MOST:
        raise invalid(f"ParameterRanges has {len(found)} hyperparameters; at most {MOST} are allowed")
    return found


def _number(entry: Mapping[str, str], kind: str) -> Parameter:
    name, scaling = entry["Name"], entry.get("ScalingType") or "Auto"
    low, high = (_parsed(entry[member], kind, f"{member} of '{name}'") for member in ("MinValue", "MaxValue"))
    if low > high:
        raise invalid(
            f"the MinValue of '{name}', {entry['MinValue']}, is greater than its MaxValue, {entry['MaxValue']}"
        )
    # Check the numbers that each scale allows (API, IntegerParameterRange and ContinuousParameterRange).
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(
            f"the scaling type Logarithmic of '{name}' needs values greater than 0, and its MinValue is {low}"
        )
    if scaling == "ReverseLogarithmic" and kind == INTEGER:
        raise invalid(f"the scaling type ReverseLogarithmic of '{name}' is for continuous hyperparameters alone")
    if scaling == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise invalid(f"the scaling type ReverseLogarithmic of '{name}' needs a range within 0 <= x < 1")
    return Parameter(name=name, kind=kind, low=low, high=high, scaling=scaling)


def _parsed(text: str, kind: str, where: str) -> float:
    try:
        number = int(text) if kind == INTEGER else float(text)
    except ValueError:
        raise invalid(f"'{text}', the {where}, is not a number of the kind {kind}") from None
    if not math.isfinite(number):
        raise invalid(f"'{text}', the {where}, is not finite")
    return number


def _category(entry: Mapping[str, Any]) -> Parameter:
    return Parameter(entry["Name"], CATEGORICAL, values=tuple(dict.fromkeys(entry["Values"])))
