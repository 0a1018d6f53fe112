"""Reading a configuration file of the platform, which holds one JSON object."""

import json
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from classifier.repeats import unrepeated


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty if the file is missing; raises ConfigError if the file holds anything else.

    The file may be in UTF-8 or UTF-16, with or without a byte order mark, since Windows writes such files.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes(), object_pairs_hook=unrepeated)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error}); write an object of strings") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a JSON object, it holds {str(value)[:60]!r}")
    return value
