"""Writes a series of measurements as columns: one record holds many rows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from train.report.records import Records

ROWS = 1000  # rows in one record at most
SECONDS = (
    5.0  # a row waits at most these seconds for further rows of its record; so SIGKILL loses no more than these seconds
)


class Columns:
    """Collects rows of numbers and writes them as one record, which holds a list for each column.

    All rows of a record belong together, as `about` says: an epoch, or a split.
    """

    def __init__(self, records: Records, kind: str, names: Sequence[str], seconds: float = SECONDS) -> None:
        self._records, self._kind, self._names, self._seconds = records, kind, tuple(names), seconds
        self._about: Mapping[str, Any] = {}
        self._rows: list[Sequence[float | None]] = []
        self._first = 0.0

    def add(self, row: Sequence[float | None], about: Mapping[str, Any]) -> None:
        """Add one row; the rows before it are written first if they are about something else."""
        if about != self._about:
            self.flush()
        if not self._rows:
            self._about, self._first = about, time.monotonic()
        self._rows.append(row)
        if len(self._rows) >= ROWS or time.monotonic() - self._first >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait, if there are any."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            values = {name: _short(column) for name, column in zip(self._names, columns, strict=True)}
            self._rows = []
            self._records.write(self._kind, **self._about, **values)


def _short(column: Sequence[float | None]) -> list[float | None]:
    """Return numbers rounded to six decimals; for seconds these are microseconds."""
    return [value if value is None else round(value, 6) for value in column]
