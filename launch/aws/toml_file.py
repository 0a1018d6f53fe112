"""Finds byoc.toml and reads its values. An unknown key is refused, and the error names a similar known key."""

import json
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from launch.aws.keys import KEYS, Key

FILE = "byoc.toml"


def find(folder: Path) -> Path | None:
    """Return the byoc.toml of this folder, or of the nearest folder above it that has a byoc.toml."""
    return next((path for place in (folder, *folder.parents) if (path := place / FILE).exists()), None)


def read(file: Path) -> dict[str, Any]:
    """Return the settings that a byoc.toml holds.

    Raises ConfigError for a file that cannot be read, for an unknown key, and for a value that cannot be used.
    """
    try:
        tables = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None
    values = {}
    for name, content in tables.items():
        if name in TABLES and name != "tags":
            if not isinstance(content, dict):
                raise ConfigError(f"{file}: {name} is {content!r}; it must be a table, [{name}]")
            for inner, value in content.items():
                key = _key(file, name, inner, value)
                values[key.field] = key.value_of(value, f"{file}: {key.path}")
        else:
            key = _key(file, "tags" if name == "tags" else "", name, content)
            values[key.field] = key.value_of(content, f"{file}: {key.path}")
    return values


def put(file: Path, values: Mapping[str, str]) -> None:
    """Set keys above the first table of a byoc.toml. A key with an empty value is removed, and the rest of the file stays.

    Raises ConfigError if the new file would not have the intended values.
    """
    lines, rest = _head(file.read_text().splitlines())
    before = read(file)
    for name, value in values.items():
        line = f"{name} = {json.dumps(value)}" if value else f"# {name} = "
        places = [place for place, text in enumerate(lines) if re.match(rf"\s*{name}\s*=", text)]
        places += [place for place, text in enumerate(lines) if re.match(rf"#\s*{name}\s*=", text)]
        if places:
            _, mark, about = lines[places[0]].partition("  # ")
            lines[places[0]] = line + mark + about
        elif value:
            lines.append(line)
    new = file.with_name(f"{file.name}.new")
    new.write_text("\n".join([*lines, *rest]) + "\n")
    wanted = {name: value for name, value in {**before, **values}.items() if value or name not in values}
    if read(new) != wanted:
        new.unlink()
        said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
        raise ConfigError(f"{file} could not be changed; edit it by hand: {said}")
    new.replace(file)


def _head(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines above the first table, and the remaining lines."""
    first = next((place for place, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    while first and not lines[first - 1].strip():
        first -= 1
    return lines[:first], lines[first:]


def _tables() -> Mapping[str, Mapping[str, Key]]:
    tables: dict[str, dict[str, Key]] = {}
    for key in KEYS.values():
        tables.setdefault(key.table, {})[key.name] = key
    return tables


TABLES = _tables()


def _key(file: Path, table: str, name: str, value: object) -> Key:
    if name in TABLES[table]:
        return TABLES[table][name]
    shown = f"{table}.{name}" if table else name
    raise ConfigError(f"{file}: {shown} = {value!r} is not known; {_meant(table, name)}")


def _meant(table: str, name: str) -> str:
    """Return the error text for an unknown key."""
    if table and name in TABLES[""]:
        return f"write {name} above the first [table]"
    places = {key.path: f"{key.name} in [{key.table}]" if key.table else key.name for key in KEYS.values()}
    same = [places[key.path] for key in KEYS.values() if name in (key.name, key.field) and key.table != table]
    here = [*TABLES[table], *(TABLES if not table else ())]
    if same or (same := get_close_matches(name, here, 1)):
        return f"did you mean {same[0]}?"
    return f"the known keys are {', '.join(sorted(filter(None, here)))}"
