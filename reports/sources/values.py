"""Typed access to an object of a JSON file that anybody may have written."""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.facts import Setting

LARGEST = 1e100  # nothing that is measured is larger; a larger number is damage, and its square or sum would overflow


def number(value: object) -> float | None:
    """Return a number up to LARGEST, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) <= LARGEST else None  # which NaN is not either


def setting(value: object) -> Setting:
    """Return a hyperparameter's value as it can be shown: text, number, truth value, or the text of anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    found = number(value)
    if found is None:
        return str(value)
    return value if isinstance(value, int) else found


@dataclass(frozen=True)
class Fields:
    """The members of one JSON object."""

    values: Mapping[str, object]

    def number(self, name: str) -> float | None:
        """Return a finite number, or None."""
        return number(self.values.get(name))

    def amount(self, name: str) -> float | None:
        """Return a number that is not negative, as a time or a loss, or None."""
        found = self.number(name)
        return found if found is not None and found >= 0 else None

    def share(self, name: str) -> float | None:
        """Return a number from 0 to 1, or None; a float32 that is 1 may be a little above it."""
        found = self.amount(name)
        return min(found, 1.0) if found is not None and found <= 1 + 1e-6 else None

    def count(self, name: str) -> int | None:
        """Return a whole number that is not negative, or None."""
        found = self.amount(name)
        return None if found is None else int(found)

    def text(self, name: str) -> str:
        """Return a text, empty where there is none."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def items(self, name: str) -> list[object]:
        """Return a list, empty where there is none."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def inside(self, name: str) -> "Fields":
        """Return an object inside this one, empty where there is none."""
        value = self.values.get(name)
        return Fields(value if isinstance(value, dict) else {})

    def numbers(self) -> dict[str, float]:
        """Return the members that are finite numbers."""
        return {name: found for name, value in self.values.items() if (found := number(value)) is not None}
