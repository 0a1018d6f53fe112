"""A job's records: JSON lines with everything that a report needs. docs/records.md describes the format."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

RECORDS_VERSION = 1


class Records:
    """Appends records to a file, records.jsonl by default. Each is written and flushed at once, so a job that is killed leaves whole lines.

    Without a folder, as in all processes but the chief, it writes nothing.
    """

    def __init__(self, folder: Path | None, name: str = "records.jsonl") -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / name if folder else Path(os.devnull)).open("w", buffering=1)

    def write(self, kind: str, **values: Any) -> None:
        """Append one record; numbers that JSON cannot hold become null."""
        record = {"kind": kind, "version": RECORDS_VERSION, "time": round(time.time(), 3)} | values
        self._file.write(json.dumps(_finite(record)) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
