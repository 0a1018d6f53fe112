"""Manifests: files that list photos and their classes, as CSV, JSON Lines or .lst. Imports no torch."""

import csv
import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from classifier import augmented
from classifier.errors import DataError
from classifier.names import class_name, is_system
from classifier.paths import Below, shown
from classifier.repeats import unrepeated

# .lst is the format of SageMaker's built-in image classification; .manifest is another name for JSON Lines.
SUFFIXES = (".csv", ".jsonl", ".manifest", ".lst")

_SEPARATOR = re.compile(r'"?sep=([^\w"\r\n])"?\s*', re.IGNORECASE)  # a first line with the separator, for Excel
_QUOTED = re.compile(r'\s*"(.+)"\s*')
_CLASS_NUMBER = re.compile(r"([0-9]+)(\.0*)?")  # a class number; im2rec writes 3 as 3.000000

Row = tuple[int, str, str]  # line number, path, label


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests at the top level of a folder, sorted, without hidden and system files."""
    try:
        return sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in SUFFIXES and not is_system(entry.name) and entry.is_file()
        )
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error


def read_manifest(manifest: Path, folder: Path) -> dict[str, list[Path]]:
    """Return the photos of each class; classes and photos are sorted. Below.find describes how the paths are read.

    A class number becomes text. Numbers are sorted as numbers in a .lst, and in an augmented manifest that has only numbers.
    A photo that is listed twice with the same label counts once. Whether the files exist is not checked here.
    Raises DataError, which names the line, for any error in the manifest.
    """
    numbered = manifest.suffix.lower() == ".lst"
    in_s3 = augmented.Lines()
    json_rows = functools.partial(_json_rows, in_s3)
    rows = {".csv": _csv_rows, ".lst": _lst_rows}.get(manifest.suffix.lower(), json_rows)
    seen: dict[str, tuple[int, str]] = {}
    by_class: dict[str, list[Path]] = {}
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            listed = list(rows(manifest, lines))
            below = Below(folder, [path for _, path, _ in listed])
            for line, path, label in listed:
                photo, real = below.find(path, f"{manifest}, line {line}")
                if not label:
                    raise DataError(
                        f"{manifest}, line {line}: the label of {shown(path)} is empty; name its class or remove the line"
                    )
                label = class_name(label, f"{manifest}, line {line}")
                earlier, other = seen.setdefault(real, (line, label))
                if other != label:
                    raise DataError(
                        f"{manifest}, line {line}: {shown(path)} has the label {shown(label)} here and {shown(other)} in "
                        f"line {earlier}; keep one of them"
                    )
                if earlier == line:
                    by_class.setdefault(label, []).append(photo)
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{manifest} cannot be read ({error.strerror}); make it a file that you may read") from error
    numbered |= in_s3.found and augmented.all_numbers(by_class)
    return {label: sorted(by_class[label]) for label in sorted(by_class, key=int if numbered else str)}


def _csv_rows(manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    text = iter(lines)
    first, reader, above, signs = next(text, ""), None, 0, ",;\t"
    if stated := _SEPARATOR.fullmatch(first):
        first, above, signs = next(text, ""), 1, stated[1]
    try:
        separators = (one for one in signs if {"path", "label"} <= set(_header(csv.reader([first], delimiter=one))))
        separator = next(separators, signs[0])
        reader = csv.reader(itertools.chain([first], text), delimiter=separator, skipinitialspace=True, strict=True)
        header = _header(reader)
        for name in ("path", "label"):
            if name not in header:
                raise DataError(
                    f"{manifest}, line {1 + above}: the header {shown(first.strip())} has no column {name!r}; a manifest starts "
                    "with path,label; move the file elsewhere if it is not one"
                )
            if header.count(name) > 1:
                raise DataError(
                    f"{manifest}, line {1 + above}: the header {shown(first.strip())} has {header.count(name)} columns {name!r}; leave one "
                    "of them or rename the others"
                )
        path, label = header.index("path"), header.index("label")
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(
                    f"{manifest}, line {reader.line_num + above}: {shown(separator.join(row))} has {len(row)} values, the header "
                    f"{len(header)}; put a value that holds a {separator!r} in double quotes"
                )
            if row:
                yield reader.line_num + above, row[path], row[label].strip()
    except csv.Error as error:
        raise DataError(
            f"{manifest}, line {above + (reader.line_num if reader else 1)}: not valid CSV ({error}); write path,label in each "
            "line"
        ) from error


def _header(reader: Iterator[list[str]]) -> list[str]:
    return [name.strip().lower() for name in next(reader, [])]


def _json_rows(in_s3: augmented.Lines, manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    wanted = 'write {"path": "cat/1.jpg", "label": "cat"}'
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{manifest}, line {line}"
        try:
            value = json.loads(text, object_pairs_hook=unrepeated)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: {shown(text.strip())} cannot be read as JSON ({error}); {wanted}") from error
        if not isinstance(value, dict):
            raise DataError(f"{where}: {shown(text.strip())} is not a JSON object; {wanted}")
        if augmented.SOURCE in value and "path" not in value:
            yield line, *in_s3.row(value, where)
            continue
        for name in ("path", "label"):
            if name not in value:
                raise DataError(f"{where}: {shown(text.strip())} has no {name!r}; {wanted}")
        path, label = value["path"], value["label"]
        if not isinstance(path, str):
            raise DataError(f"{where}: the path {shown(path)} is not text; {wanted}")
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise DataError(f"{where}: the label {shown(label)} is neither text nor a whole number; {wanted}")
        yield line, path, str(label).strip()


def _lst_rows(manifest: Path, lines: Iterable[str]) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        # im2rec writes tabs. If a program turned them into spaces, further spaces can only be part of the path.
        text = text.rstrip("\r\n")
        cells = text.split("\t") if "\t" in text else text.split(maxsplit=2)
        if len(cells) != 3:
            raise DataError(
                f"{manifest}, line {line}: {shown(text.rstrip())} has {len(cells)} columns; write three with tabs between "
                "them: index, class number, path"
            )
        number = _CLASS_NUMBER.fullmatch(cells[1].strip())
        if not number:
            raise DataError(
                f"{manifest}, line {line}: the class {shown(cells[1])} is not a whole number from 0; write index, class "
                "number, path, or use a .csv for names"
            )
        yield line, quoted[1] if (quoted := _QUOTED.fullmatch(cells[2])) else cells[2], str(int(number[1]))
