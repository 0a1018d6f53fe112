"""Augmented manifests: JSON Lines that name photos in S3 and their classes, as SageMaker Ground Truth writes them. Imports no torch.

{"source-ref": "s3://bucket/photos/1.jpg", "class": 0, "class-metadata": {"class-name": "cat", ...}}
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from classifier.errors import DataError
from classifier.paths import SHOWN, shown

SOURCE = "source-ref"
METADATA = "-metadata"
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
_CLASS_NUMBER = re.compile(r"([0-9]+)(\.0*)?")
_WRITTEN_NUMBER = re.compile(r"0|[1-9][0-9]*")


class Classes:
    """Turns the labels of all photos into classes. If the first photo's metadata has a `class-name`, all photos must have one."""

    def __init__(self) -> None:
        self._named: bool | None = None

    def find(self, label: Any, metadata: Any, where: str) -> str:
        """Return a photo's class; raises DataError, which begins with `where`, when the photo has no class or several."""
        about = metadata if isinstance(metadata, Mapping) else {}
        if "failure-reason" in about:
            raise DataError(
                f"{where} was never labelled (failure-reason {_json(about['failure-reason'])}); remove it from the manifest"
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
    """Turns the lines of one augmented manifest into the photos' addresses and classes."""

    def __init__(self) -> None:
        self._label = ""
        self._classes = Classes()

    @property
    def found(self) -> bool:
        """Whether `row` has been called at least once."""
        return bool(self._label)

    def row(self, line: Mapping[str, Any], where: str) -> tuple[str, str]:
        """Return the photo's address and class in a line; raises DataError, which begins with `where`."""
        source = line[SOURCE]
        if not isinstance(source, str):
            raise DataError(f"{where}: the {SOURCE} {shown(source)} is not text; write s3://bucket/photo.jpg")
        self._label = self._label or _find_label(line, where)
        if self._label not in line:
            raise DataError(f"{where}: {_json(line)} has no {self._label!r}, the label of the first photo; add it")
        return source, self._classes.find(line[self._label], line.get(self._label + METADATA), f"{where}: the photo")


def all_numbers(classes: Iterable[str]) -> bool:
    """Return whether all classes are whole numbers; they are then sorted as numbers."""
    return all(map(_WRITTEN_NUMBER.fullmatch, classes))


def find_class(texts: Sequence[bytes], classes: Classes, where: str) -> str:
    """Return a photo's class from its attributes in pipe mode; raises DataError, which begins with `where`.

    The attributes `texts` are a label, metadata with a `class-name`, or both, in any order.
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
    """Return the name of the label's attribute: the one whose metadata has a class-name, else the only candidate."""
    others = [name for name in line if not name.endswith(("-ref", METADATA))]
    about: dict[str, Any] = {name: line.get(name + METADATA) for name in others}
    for wanted in (
        [name for name in others if isinstance(about[name], dict) and "class-name" in about[name]],
        [name for name in others if about[name] is not None],
        others,
    ):
        if len(wanted) == 1:
            return wanted[0]
        if wanted:
            raise DataError(f"{where}: {wanted[0]!r} and {wanted[1]!r} may both be the label; leave one of them")
    raise DataError(f'{where}: {_json(line)} has no label; add one, as in "class": "0"')


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
    """Return a label as the text of a class; numbers lose their decimals (3.0 becomes 3)."""
    if not isinstance(label, str | int | float):
        raise DataError(f"{where} has the label {_json(label)}; training needs one class a photo, a number or a text")
    text = json.dumps(label) if isinstance(label, bool) else str(label).strip()
    if not text:
        raise DataError(f"{where} has an empty label; name its class or remove it")
    whole = _CLASS_NUMBER.fullmatch(text)
    if whole:
        return str(int(whole[1]))
    if isinstance(label, float) or _NUMBER.fullmatch(text):
        raise DataError(f"{where} has the label {_json(label)}; a class number is whole, from 0")
    return text


def _json(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
