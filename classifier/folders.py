"""Lists a folder of class folders: the photos of each class, and the files that are left out. Decodes nothing."""

import contextlib
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from classifier.errors import DataError
from classifier.names import class_name, is_system, one_line

# Files with these suffixes are never tried as photos. A photo may have any other suffix, or no suffix, like many objects in S3.
NOT_PHOTOS = re.compile(
    r"\.(json|jsonl|manifest|lst|rec|idx|csv|tsv|txt|xml|yaml|yml|toml|ini|cfg|md|rst|html?|css|js|log|pdf|docx?|xlsx?|pptx?"
    r"|zip|tar|gz|tgz|bz2|xz|7z|rar|mp4|mov|avi|mkv|webm|mp3|wav|aae|xmp|thm|py|pyc|ipynb|sh|r|mat|npy|npz|pkl|pickle|pth?"
    r"|safetensors|onnx|h5|hdf5|parquet|tfrecords?|db|sqlite|lock|tmp|part|bak|md5|sha256"
    # Desktop links, unfinished downloads, settings of photo programs, and copies that editors made before a change.
    r"|lnk|url|webloc|desktop|torrent|crdownload|download|partial|swp|pp3|dop|nksc|orig|[a-z]+_original|[a-z]*~)",
    re.IGNORECASE,
)
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
SHOWN = 5  # how many names a note lists

ByClass = dict[str, list[Path]]


@dataclass
class Found:
    """The photos of one split by class, sorted, and the other files and folders that were found."""

    classes: ByClass = field(default_factory=dict)
    nested: list[Path] = field(default_factory=list)  # photos in a subfolder of their class's folder
    loose: list[Path] = field(default_factory=list)  # files beside the class folders that may be photos
    empty: list[Path] = field(default_factory=list)  # class folders without a photo
    unlisted: list[Path] = field(default_factory=list)  # photos that the manifest does not list
    merged: list[str] = field(default_factory=list)  # classes that several folders spell differently
    system: list[Path] = field(default_factory=list)  # hidden and system files
    # Pipes and other special files, links to folders above them, and files whose suffixes show that they are not photos.
    other: list[Path] = field(default_factory=list)


def look(folder: Path) -> Found:
    """Return the content of a folder of class folders. Subfolders of these are read too, as by torchvision's ImageFolder.

    Raises DataError for a folder that cannot be listed, and for a class name that no answer could hold.
    """
    found = Found()
    for path in sort_files(folder, found):
        name = class_name(path.name, f"the folder {one_line(folder)}")
        files = _photos(path, found)
        if name in found.classes and name not in found.merged:
            found.merged.append(name)
        found.classes.setdefault(name, []).extend(files)
        if not files:
            found.empty.append(path)
    for name in found.merged:
        found.classes[name].sort()
    found.classes = {name: found.classes[name] for name in sorted(found.classes)}
    return found


def unlisted(folder: Path, listed: Iterable[Path]) -> list[Path]:
    """Return the photos below a folder that are not in `listed`, sorted. A path through links counts as its target."""
    resolve = functools.cache(os.path.realpath)
    known = set()
    for path in listed:
        parent, name = os.path.split(path)
        known |= {
            (resolve(parent), name),
            os.path.split(resolve(parent)),
        }  # a record's RecordIO file
    found = []
    # Ignore a folder that may not be listed, because training needs nothing from it.
    with contextlib.suppress(DataError):
        for place, files in _walk(folder, Found(), ()):
            found += [path for path in files if (resolve(place), path.name) not in known]
    return sorted(found)


def sort_files(folder: Path, found: Found) -> list[Path]:
    """Sort the files in a folder into the lists of `found`, and return the subfolders, sorted by name."""
    folders = []
    for entry in scan(folder):
        path = folder / entry.name
        if is_system(entry.name):
            found.system.append(path)
        elif _is_folder(entry):
            folders.append(path)
        else:
            (found.loose if _may_be_photo(entry) else found.other).append(path)
    return folders


def scan(folder: Path) -> "list[os.DirEntry[str]]":
    """Return a folder's entries, sorted, so that the file system's order never matters.

    Raises DataError when the folder may not be listed.
    """
    try:
        # These entries include whether they are folders; a further system call for each of 100,000 photos takes a second.
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error


def notes(found: Iterable[Found]) -> list[str]:
    """Return one sentence for each kind of entry in all splits that was left out, or that may surprise the user."""
    splits = list(found)

    def all_of(kind: Callable[[Found], list[Path]]) -> list[Path]:
        return [path for split in splits for path in kind(split)]

    sentences = []
    if nested := all_of(lambda split: split.nested):
        sentences.append(
            f"photos in subfolders of a class's folder: {len(nested):,} ({named(nested)}); each counts for the class of the "
            "topmost folder"
        )
    if unlisted := all_of(lambda split: split.unlisted):
        sentences.append(
            f"photos that the manifest does not list: {len(unlisted):,} ({named(unlisted)}); they are left out"
        )
    if empty := all_of(lambda split: split.empty):
        sentences.append(f"class folders without photos: {len(empty):,} ({named(empty)}); they are left out")
    if loose := all_of(lambda split: split.loose):
        sentences.append(
            f"files beside the class folders: {len(loose):,} ({named(loose)}); they are left out, put each into the folder of "
            "its class"
        )
    if other := all_of(lambda split: split.other):
        suffixes = Counter(path.suffix.lower() for path in other).most_common()
        counts = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in suffixes)
        remedy = ", unpack what holds photos" if any(path.suffix.lower() in _ARCHIVES for path in other) else ""
        sentences.append(f"files that are not photos: {counts} ({named(other)}); they are left out{remedy}")
    if system := all_of(lambda split: split.system):
        sentences.append(f"hidden and system files: {len(system):,} ({named(system)}); they are left out")
    if merged := sorted({name for split in splits for name in split.merged}):
        sentences.append(
            f"classes whose folders are spelt with different bytes but look the same: {', '.join(map(repr, merged))}; each "
            "is one class"
        )
    return sentences


def left_out(found: Found) -> str:
    """Return the clauses of a refusal about empty class folders and files that are not photos, each after a semicolon.

    A refusal has to say this itself because the notes are not shown after it.
    """
    return "".join(f"; {sentence}" for sentence in notes([Found(empty=found.empty, other=found.other)]))


def _photos(folder: Path, found: Found) -> list[Path]:
    """Return the photos below a class's folder in the order of torchvision's ImageFolder: by folder, then by name."""
    held = sorted(_walk(folder, found, ()), key=lambda part: part[0])
    for place, files in held:
        if place != str(folder):
            found.nested += files
    return [path for _, files in held for path in files]


def _walk(folder: Path, found: Found, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, list[Path]]]:
    """Yield each folder below `folder`, itself last, with its photos; `above` identifies the folders above it."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link to a folder above it, which would make an endless loop
        found.other.append(folder)
        return
    held = Found(system=found.system, other=found.other)
    for path in sort_files(folder, held):
        yield from _walk(path, found, (*above, here))
    yield str(folder), held.loose


def _may_be_photo(entry: "os.DirEntry[str]") -> bool:
    suffix = os.path.splitext(entry.name)[1]  # noqa: PTH122 - Path takes several times as long
    if NOT_PHOTOS.fullmatch(suffix):
        return False
    try:
        # A link to nothing counts as a photo that cannot be read. A pipe does not: reading it could wait forever.
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or to a folder that this user may not enter
        return False


def named(paths: list[Path]) -> str:
    """Return the first few paths for a sentence, shortened to their last two parts."""
    shown = ", ".join(one_line(Path(*path.parts[-2:])) for path in paths[:SHOWN])
    return shown + (", ..." if len(paths) > SHOWN else "")
