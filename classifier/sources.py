"""Finds the source of each split's photos: class folders, a manifest or RecordIO files. Lists a source's content. Imports no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.folders import Found, left_out, look, sort_files, unlisted
from classifier.manifest import manifests_in, read_manifest
from classifier.names import is_system, one_line
from classifier.recordio import list_records, records_in, refuse_below
from classifier.splits import LIST_CHANNEL, SPLITS, hold_splits, refuse_splits, spelling, split_of


@dataclass(frozen=True)
class Source:
    """The source of a split: a folder of class folders, a manifest of the photos in the folder, or RecordIO files."""

    folder: Path
    manifest: Path | None
    records: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.records)) or str(self.manifest or self.folder)

    def unread(self) -> list[Path]:
        """Return the other files beside RecordIO files, such as im2rec's list and the original photos."""
        return manifests_in(self.folder) + sort_files(self.folder, Found()) if self.records else []


@dataclass(frozen=True)
class Sources:
    """The source of each split that exists, the folders and manifests that are not read, and the files beside the splits."""

    splits: Mapping[str, Source]
    unread: list[Path]
    beside: Found


def find_sources(channels: Mapping[str, Path]) -> Sources:
    """Find the splits in the channels, which are folders by name; raises DataError when there is no train."""
    folders, unread, beside, skipped = dict(channels), list[Path](), Found(), Found()
    splits = [name for name in channels if split_of(name)]
    if len(channels) == 1 or len(splits) == 1:
        name = splits[0] if splits else next(iter(channels))
        root = channels[name]
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; name one that holds train/ with a folder per class or a manifest")
        inside = {path.name: path for path in sort_files(root, beside)}
        skipped = Found(other=beside.other)
        manifests = manifests_in(root) + records_in(root)
        others = [path for other, path in channels.items() if other != name]
        if hold_splits(name, inside):
            folders, unread = inside, [*manifests, *others]
            beside.other = [path for path in beside.other if path not in manifests]
        else:
            if not others and split_of(name) in (None, "train"):
                folders = {"train": root} if inside or beside.loose or manifests else {}
            beside = Found()
    sources, used = {}, set()
    for split in SPLITS:
        chosen = spelling(split, folders)
        if chosen is not None:
            sources[split] = _source(chosen, folders)
            used |= {chosen} if sources[split].records else {chosen, chosen + LIST_CHANNEL}
    if "train" not in sources:
        where = ", ".join(f"{name}={path}" for name, path in channels.items()) or "no channel"
        raise DataError(
            f"no train photos in {where}; add a folder or channel named train with a folder per class or a manifest"
            + left_out(skipped)
        )
    unread += [folder for name, folder in folders.items() if name not in used]
    return Sources(sources, unread + [path for source in sources.values() for path in source.unread()], beside)


def list_source(source: Source) -> Found:
    """Return the content of a split; raises DataError if its class folders are splits themselves."""
    if source.records:
        return Found(list_records(source.records, SPLITS))
    if source.manifest:
        classes = read_manifest(source.manifest, source.folder)
        _refuse_absent(source, [path for files in classes.values() for path in files])
        system = [path for files in classes.values() for path in files if is_system(path.name)]
        if system:
            classes = {name: [path for path in files if not is_system(path.name)] for name, files in classes.items()}
        listed = (path for files in classes.values() for path in files)
        return Found(classes, system=system, unlisted=unlisted(source.folder, listed))
    found = look(source.folder)
    if not any(found.classes.values()):
        refuse_below(source.folder, found.other)
    inside = {source.folder: set(found.classes)}
    for path in found.nested:
        label, below, *_ = path.relative_to(source.folder).parts
        inside.setdefault(source.folder / label, set()).add(below)
    for folder, names in inside.items():
        refuse_splits(folder, names)
    return found


def _source(name: str, folders: Mapping[str, Path]) -> Source:
    folder, listing = folders.get(name), folders.get(name + LIST_CHANNEL)
    if folder is None:
        raise DataError(f"{listing} lists photos, but there are none; add them as a folder or channel named {name}")
    for path in (folder, listing):
        if path is not None and not path.is_dir():
            raise DataError(f"{path} is not a folder; name one that holds a folder of photos per class or a manifest")
    records = records_in(folder)
    if records:
        return Source(folder, None, tuple(records))
    held = manifests_in(listing or folder)
    if len(held) > 1:
        names = ", ".join(path.name for path in held)
        raise DataError(f"{listing or folder} holds {len(held)} manifests ({names}); leave one of them")
    if listing and not held:
        raise DataError(f"{listing} holds no .lst file; put the list of the photos in {folder} there")
    return Source(folder, held[0] if held else None)


def _refuse_absent(source: Source, files: list[Path]) -> None:
    """Raise DataError when none of the files that a manifest lists exists."""
    if not files or any(
        os.path.lexists(path) or path.parent.is_file() for path in files
    ):  # a record's parent is its file
        return
    written = files[0].relative_to(source.folder)
    ends = (Path(*written.parts[start:]) for start in range(1, len(written.parts)))
    end = next((end for end in ends if os.path.lexists(source.folder / end)), None)
    raise DataError(
        f"none of the {len(files):,} files that {source.manifest} lists is there, as {one_line(written)}; write their paths "
        f"relative to {source.folder}" + (f", as {one_line(end)}" if end else "")
    )
