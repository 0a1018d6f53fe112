"""Checks names of files and classes: names of a system's own files, names that an answer cannot hold, and names that look the same."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from classifier.errors import DataError

# Files and folders that Windows, macOS, storage servers, Jupyter and Hadoop leave behind; in lower case.
SYSTEM_NAMES = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "zbthumbnail.info",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "icon\r",
        "__macosx",
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "lost+found",
        "__pycache__",
        "_success",
    }
)
# The ends of names of Windows' data streams, as WSL and storage servers show them: photo.jpg:Zone.Identifier. In lower case.
_STREAMS = (":zone.identifier", ":encryptable")
# Letters and marks that are invisible: Hangul fillers, the empty Braille pattern, joiners and variation selectors.
_UNSEEN = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
# Control characters, ends of lines, and the characters with Unicode's property Bidi_Control, which can show a name in another order.
_NOT_ON_ONE_LINE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_system(name: str) -> bool:
    """Return whether a file or folder is hidden or made by a system; it is then never a photo, manifest, archive or weights."""
    folded = name.casefold()
    return (
        name.startswith((".", "~$"))
        or folded in SYSTEM_NAMES
        or folded.endswith(_STREAMS)
        or name.endswith("_$folder$")
    )


def class_name(name: str, where: str) -> str:
    """Return a class name in Unicode's composed form (NFC), so that names that look the same are equal.

    Raises DataError, which begins with `where`, for a blank name and for one that cannot be written in an answer.
    """
    composed = unicodedata.normalize("NFC", name)
    if not composed.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in composed):
        problem = (
            "is not valid UTF-8" if any("\ud800" <= char <= "\udfff" for char in name) else "holds control characters"
        )
        raise DataError(
            f"{where}: the class name {name!r} {problem} and cannot be written in an answer; rename the class"
        )
    if all(unicodedata.category(char) in ("Zs", "Cf") or char in _UNSEEN for char in composed):
        raise DataError(f"{where}: the class name {name!r} is blank; rename the class")
    return composed


def alike(name: str) -> str:
    """Return a key that is equal for names that differ only by case, blanks, underscores or invisible characters."""
    folded = unicodedata.normalize("NFKC", name).casefold().replace("_", " ")
    return "".join(char for char in folded if char.isprintable() and not char.isspace())


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names for which `alike` is equal."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(alike(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def one_line(path: Path | str) -> str:
    """Return a path or a text as one line that a terminal shows in its true order.

    Bytes that are not UTF-8, control characters and direction marks are escaped.
    """
    text = str(path).encode(errors="backslashreplace").decode()
    return _NOT_ON_ONE_LINE.sub(lambda match: repr(match[0])[1:-1], text)


def printable(text: str) -> str:
    """Return a text of any number of lines for a terminal or a log, each line as `one_line` gives it."""
    return "\n".join(map(one_line, text.split("\n")))
