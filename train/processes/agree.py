"""The check that all hosts of a job hold the same photos, because each takes its share by the photos' order in the list."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError, UserError
from classifier.names import one_line
from classifier.photos import PhotoSet
from train import environment
from train.contract import Job
from train.processes.world import World

REMEDY = "give all hosts the same photos, with S3DistributionType FullyReplicated in each channel"
NAMED = 3  # how many hosts a message names


@dataclass(frozen=True)
class Held:
    """The photos of one host: for each path below /opt/ml the class and the size in bytes; or the reason why they are unusable."""

    host: str
    photos: dict[str, tuple[str, int]]
    problem: str | None = None


def agreed(world: World, job: Job, found: PhotoSet | UserError) -> PhotoSet:
    """Return the job's photos if all hosts hold the same ones; else raise DataError with the difference, in every process.

    `found` holds the photos that this process has listed, or the error about them. Sizes on a FastFile mount are not compared, because each
    would cost a request to S3.
    """
    if len(job.hosts) > 1:
        held = _held(job, found) if environment.LOCAL_RANK.read() == 0 else None
        digest = held and hashlib.sha256(repr((held.problem, sorted(held.photos.items()))).encode("utf-8", "replace"))
        digests = {one for one in world.gather(digest and digest.digest()) if one}
        if len(digests) > 1:
            everyone = [one for one in world.gather(held) if one]
            with contextlib.suppress(RuntimeError):
                world.barrier()  # no process ends before all have the result
            raise DataError(f"the hosts hold different photos: {difference(everyone)}; {REMEDY}")
    if isinstance(found, UserError):
        raise found
    return found


def difference(everyone: Sequence[Held]) -> str:
    """Return sentences on how the other hosts differ from the first."""
    first, *others = everyone
    sentences = [sentence for other in others if (sentence := _difference(first, other))]
    more = f"; and {len(sentences) - NAMED} more hosts" if len(sentences) > NAMED else ""
    return "; ".join(sentences[:NAMED]) + more


def _difference(first: Held, other: Held) -> str | None:
    if first.problem or other.problem:
        if first.problem == other.problem:
            return None
        return " and ".join(f"{one.host} {_content(one)}" for one in (first, other))
    for one, two in ((first, other), (other, first)):
        labels = {label for label, _ in two.photos.values()}
        lacking = sorted({label for label, _ in one.photos.values()} - labels)
        if lacking:
            return f"{two.host} lacks {len(lacking)} of the classes of {one.host}, first {lacking[0]!r}"
    for one, two in ((first, other), (other, first)):
        lacking = sorted(one.photos.keys() - two.photos.keys())
        if lacking:
            return (
                f"{two.host} lacks {len(lacking):,} of the {len(one.photos):,} photos of {one.host}, first {lacking[0]}"
            )
    for photo, (label, size) in first.photos.items():
        label_there, size_there = other.photos[photo]
        if label != label_there:
            return f"{photo} is {label!r} on {first.host} and {label_there!r} on {other.host}"
        if size != size_there:
            return f"{photo} has {size:,} bytes on {first.host} and {size_there:,} on {other.host}"
    return None


def _content(held: Held) -> str:
    if held.problem:
        return f"cannot use its photos ({held.problem})"
    return f"holds {len(held.photos):,} photos of {len({label for label, _ in held.photos.values()})} classes"


def _held(job: Job, found: PhotoSet | UserError) -> Held:
    if isinstance(found, UserError):
        return Held(job.current_host, {}, _below(job, str(found)))
    photos = {
        one_line(_below(job, str(photo.path))): (
            found.classes[photo.label],
            0 if job.fast_file else _size(photo.path),
        )
        for held in found.splits.values()
        for photo in held
    }
    return Held(job.current_host, photos)


def _below(job: Job, text: str) -> str:
    """Return a path or sentence without the folder of the channels, which may differ between hosts."""
    for folder in {job.base, *(job.channels[name].parent for name in job.pipes)}:
        text = text.replace(f"{folder}/", "")
    return text


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
