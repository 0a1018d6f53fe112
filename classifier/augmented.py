"""Augmented manifests: JSON Lines in which SageMaker Ground Truth and others name photos in S3 and their classes. Imports no torch.

{"source-ref": "s3://bucket/photos/1.jpg", "class": 0, "class-metadata": {"class-name": "cat", ...}}
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from classifier.errors import DataError

SOURCE = "source-ref"
METADATA = "-metadata"
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
_CLASS_NUMBER = re.compile(r"([0-9]+)(\.0*)?")
_WRITTEN_NUMBER = re.compile(r"0|[1-9][0-9]*")
_SHOWN = 80  # characters of a wrong value in a message


class Classes:
    """Turns labels into classes: by `class-name` where the first photo has one, else by number or text for all photos."""

    def __init__(self) -> None:
        self._named: bool | None = None

    def find(self, label: Any, metadata: Any, where: str) -> str:
        """Return the class of a photo; raises DataError, which begins with `where`, when it has none or several."""
        about = metadata if isinstance(metadata, Mapping) else {}
        if "failure-reason" in about:
            raise DataError(
                f"{where} was never labelled (failure-reason {_shown(about['failure-reason'])}); remove it from the manifest"
            )
        named = "class-name" in about
        if self._named is None:
            self._named = named
        if named != self._named:
            raise DataError(
                f"{where} has {'a' if named else 'no'} class-name, other than the photos before it; give it to all or to none"
            )
        name = about["class-name"] if named else label
        return name.strip() if named and isinstance(name, str) and name.strip() else _text(name, where)


class Lines:
    """Turns the lines of an augmented manifest into paths below a folder and classes.

    The folder is what a channel holds: the objects under one S3 prefix. Which prefix, the first photo tells: the file whose path
    is the end of its key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = ""
        self._label = ""
        self._classes = Classes()

    @property
    def found(self) -> bool:
        """Whether there was such a line."""
        return bool(self._prefix)

    def row(self, line: Mapping[str, Any], where: str) -> tuple[str, str]:
        """Return a line's path below the folder and its class; raises DataError, which begins with `where`."""
        source = line[SOURCE]
        if not isinstance(source, str) or not source.startswith("s3://"):
            raise DataError(
                f"{where}: the {SOURCE} {_shown(source)} is not an address in S3; write s3://bucket/photo.jpg"
            )
        if not self._prefix:
            self._prefix, self._label = self._find_prefix(source, where), _find_label(line, where)
        if not source.startswith(self._prefix):
            raise DataError(
                f"{where}: {_shown(source)} does not lie below {self._prefix}, as the first photo of this channel does; "
                "give other photos a channel of their own"
            )
        if self._label not in line:
            raise DataError(
                f"{where}: {_shown(dict(line))} has no {self._label!r}, the label of the first photo; add it"
            )
        name = self._classes.find(line[self._label], line.get(self._label + METADATA), f"{where}: the photo")
        return source.removeprefix(self._prefix), name

    def _find_prefix(self, source: str, where: str) -> str:
        key = source.removeprefix("s3://").split("/")[1:]
        tails = ["/".join(key[place:]) for place in range(len(key))]
        # Trap: Path.is_file raises for a name that is too long.
        found = [tail for tail in tails if tail and os.path.isfile(self._folder / tail)]  # noqa: PTH113
        if not found:
            raise DataError(
                f"{where}: {_shown(source)} is not in {self._folder}, under no end of its path; let the channel's S3 prefix be "
                "that of the photos"
            )
        if len(found) > 1:
            raise DataError(
                f"{where}: {_shown(source)} may be {found[0]!r} or {found[1]!r} in {self._folder}; remove one of them"
            )
        return source.removesuffix(found[0])


def all_numbers(classes: Iterable[str]) -> bool:
    """Return whether all classes are numbers, whose order is numeric."""
    return all(map(_WRITTEN_NUMBER.fullmatch, classes))


def find_class(texts: Sequence[bytes], classes: Classes, where: str) -> str:
    """Return the class that the attributes of a photo give, as they come through a pipe; raises DataError.

    They are a label, metadata with a `class-name`, or both, in any order.
    """
    values = [_value(text, where) for text in texts]
    metadata = [value for value in values if isinstance(value, dict)]
    labels = [value for value in values if not isinstance(value, dict)]
    named = [value for value in metadata if "class-name" in value or "failure-reason" in value]
    if len(named) > 1 or (not named and len(labels) != 1):
        raise DataError(
            f"{where} comes with {len(values)} attributes of which no single one is its class; let AttributeNames be the photo "
            'and its label, as in ["source-ref", "class"]'
        )
    return classes.find(labels[0] if labels else None, named[0] if named else None, where)


def _find_label(line: Mapping[str, Any], where: str) -> str:
    """Return which attribute is the label: the one whose metadata has a class, else the only one that can be."""
    others = [name for name in line if not name.endswith(("-ref", METADATA))]
    about = {name: line.get(name + METADATA) for name in others}
    for wanted in (
        [name for name in others if isinstance(about[name], dict) and "class-name" in about[name]],
        [name for name in others if about[name] is not None],
        others,
    ):
        if len(wanted) == 1:
            return wanted[0]
        if wanted:
            raise DataError(f"{where}: {wanted[0]!r} and {wanted[1]!r} may both be the label; leave one of them")
    raise DataError(f'{where}: {_shown(dict(line))} has no label; add one, as in "class": "0"')


def _value(text: bytes, where: str) -> Any:
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where} comes with a label that is not text; let AttributeNames hold one photo") from error
    try:
        return json.loads(decoded, parse_constant=str)
    except (ValueError, RecursionError):
        return decoded


def _text(label: Any, where: str) -> str:
    """Return a class as text, a number without decimals."""
    if not isinstance(label, str | int | float):
        raise DataError(f"{where} has the label {_shown(label)}; training needs one class a photo, a number or a text")
    text = json.dumps(label) if isinstance(label, bool) else str(label).strip()
    if not text:
        raise DataError(f"{where} has an empty label; name its class or remove it")
    whole = _CLASS_NUMBER.fullmatch(text)
    if whole:
        return str(int(whole[1]))
    if isinstance(label, float) or _NUMBER.fullmatch(text):
        raise DataError(f"{where} has the label {_shown(label)}; a class number is whole, from 0")
    return text


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
