"""A manifest: one file that names photos and their classes, as CSV, JSON Lines or .lst. Imports no torch."""

import csv
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from classifier import augmented
from classifier.errors import DataError

# .lst is what SageMaker's built-in image classification reads; .manifest is JSON Lines by another name.
SUFFIXES = (".csv", ".jsonl", ".manifest", ".lst")
SHOWN = 60  # characters of a wrong value in a message

_CLASS_NUMBER = re.compile(r"([0-9]+)(\.0*)?")  # im2rec writes 3 as 3.000000

Row = tuple[int, str, str]  # line number, path, label


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests at the top level of a folder, sorted; hidden files are none."""
    try:
        return sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
        )
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error


def read_manifest(manifest: Path, folder: Path) -> dict[str, list[Path]]:
    """Return the photos of each class, both sorted; paths are relative to `folder` and must stay in it.

    The classes of a .lst are its numbers as text, in numeric order, and so are those of an augmented manifest that holds
    numbers only. A photo listed twice with one label counts once; that
    a file is missing is found when it is read. Raises DataError for everything else that is wrong, naming the line.
    """
    numbered = manifest.suffix.lower() == ".lst"
    in_s3 = augmented.Lines(folder)
    json_rows = functools.partial(_json_rows, in_s3)
    rows = {".csv": _csv_rows, ".lst": _lst_rows}.get(manifest.suffix.lower(), json_rows)
    real = _Real(folder)
    seen: dict[str, tuple[int, str]] = {}
    by_class: dict[str, list[Path]] = {}
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            for line, path, label in rows(manifest, lines):
                file = _inside(real, path, f"{manifest}, line {line}")
                if not label:
                    raise DataError(
                        f"{manifest}, line {line}: the label of {_shown(path)} is empty; name its class or remove the line"
                    )
                earlier, other = seen.setdefault(file, (line, label))
                if other != label:
                    raise DataError(
                        f"{manifest}, line {line}: {_shown(path)} has the label {_shown(label)} here and {_shown(other)} in "
                        f"line {earlier}; keep one of them"
                    )
                if earlier == line:
                    by_class.setdefault(label, []).append(folder / path)
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{manifest} cannot be read ({error.strerror}); make it a file that you may read") from error
    numbered |= in_s3.found and augmented.all_numbers(by_class)
    return {label: sorted(by_class[label]) for label in sorted(by_class, key=int if numbered else str)}


def _csv_rows(manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in ("path", "label"):
            if name not in header:
                raise DataError(
                    f"{manifest}, line 1: the header {_shown(','.join(header))} has no column {name!r}; a manifest starts "
                    "with path,label; move the file elsewhere if it is none"
                )
        path, label = header.index("path"), header.index("label")
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(
                    f"{manifest}, line {reader.line_num}: {_shown(','.join(row))} has {len(row)} values, the header "
                    f"{len(header)}; put a value that holds a comma in double quotes"
                )
            if row:
                yield reader.line_num, row[path], row[label].strip()
    except csv.Error as error:
        raise DataError(
            f"{manifest}, line {reader.line_num}: no CSV ({error}); write path,label in each line"
        ) from error


def _json_rows(in_s3: augmented.Lines, manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    wanted = 'write {"path": "cat/1.jpg", "label": "cat"}'
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{manifest}, line {line}"
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: {_shown(text.strip())} is no JSON ({error}); {wanted}") from error
        if not isinstance(value, dict):
            raise DataError(f"{where}: {_shown(text.strip())} is no JSON object; {wanted}")
        if augmented.SOURCE in value and "path" not in value:
            yield line, *in_s3.row(value, where)
            continue
        for name in ("path", "label"):
            if name not in value:
                raise DataError(f"{where}: {_shown(text.strip())} has no {name!r}; {wanted}")
        path, label = value["path"], value["label"]
        if not isinstance(path, str):
            raise DataError(f"{where}: the path {_shown(path)} is no text; {wanted}")
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise DataError(f"{where}: the label {_shown(label)} is neither text nor a whole number; {wanted}")
        yield line, path, str(label).strip()


def _lst_rows(manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        cells = text.rstrip("\r\n").split("\t")
        if len(cells) != 3:
            raise DataError(
                f"{manifest}, line {line}: {_shown(text.rstrip())} has {len(cells)} columns; write three with tabs between "
                "them: index, class number, path"
            )
        number = _CLASS_NUMBER.fullmatch(cells[1].strip())
        if not number:
            raise DataError(
                f"{manifest}, line {line}: the class {_shown(cells[1])} is no whole number from 0; write index, class "
                "number, path, or use a .csv for names"
            )
        yield line, cells[2], str(int(number[1]))


class _Real:
    """Real paths below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = os.path.realpath(folder)
        # Each parent is resolved once: a realpath for each photo took most of the 7 s that 100,000 took to list, now 2.
        self._parents: dict[str, str] = {}

    def path(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return os.path.realpath(self.folder / path)
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(self.folder / parent)
        real = f"{self._parents[parent].rstrip('/')}/{name}"
        return os.path.realpath(real) if os.path.islink(real) else real  # noqa: PTH114 - Path takes three times as long


def _inside(real: _Real, path: str, where: str) -> str:
    """Return the real path of a photo; raises DataError when it lies outside the folder."""
    folder = real.folder
    if not path.strip():
        raise DataError(f"{where}: the path is empty; name a photo below {folder} or remove the line")
    if path.startswith("/"):
        raise DataError(f"{where}: the path {_shown(path)} is absolute; write it relative to {folder}")
    try:
        path.encode()  # no lone surrogates, which JSON can spell
        if "\0" in path:
            raise ValueError("embedded null byte")
        file = real.path(path)
    except ValueError as error:
        raise DataError(f"{where}: the path {_shown(path)} can be no file's name; correct it") from error
    if file != real.root and not file.startswith(f"{real.root.rstrip('/')}/"):
        raise DataError(f"{where}: the path {_shown(path)} leads out of {folder}; put the photo below that folder")
    return file


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
