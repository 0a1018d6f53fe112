"""Typed access to the members of a JSON object from an untrusted file."""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.facts import Setting

LARGEST = 1e100  # no measurement is larger; a larger number is damage, and its square or sum could overflow


def number(value: object) -> float | None:
    """Return the value as a number; None if it is not a number, not finite, or larger than LARGEST."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) <= LARGEST else None  # NaN becomes None too: its comparison is False


def setting(value: object) -> Setting:
    """Return a hyperparameter's value: None, a text, a number or a bool unchanged, anything else as text."""
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
        """Return a number of at least 0, such as a time or a loss; None if it is not one."""
        found = self.number(name)
        return found if found is not None and found >= 0 else None

    def share(self, name: str) -> float | None:
        """Return a number from 0 to 1, or None. A number up to 1 + 1e-6 becomes 1, because a float32 may be rounded up."""
        found = self.amount(name)
        return min(found, 1.0) if found is not None and found <= 1 + 1e-6 else None

    def count(self, name: str) -> int | None:
        """Return a number of at least 0, rounded down to a whole number, or None."""
        found = self.amount(name)
        return None if found is None else int(found)

    def text(self, name: str) -> str:
        """Return a text; empty if the member is absent or not a text."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def items(self, name: str) -> list[object]:
        """Return a list; empty if the member is absent or not a list."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def inside(self, name: str) -> "Fields":
        """Return the object in a member; empty if the member is absent or not an object."""
        value = self.values.get(name)
        return Fields(value if isinstance(value, dict) else {})

    def numbers(self) -> dict[str, float]:
        """Return the members that are finite numbers."""
        return {name: found for name, value in self.values.items() if (found := number(value)) is not None}
