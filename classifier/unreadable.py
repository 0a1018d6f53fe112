"""Decides whether too many photos cannot be read. If so, training refuses them, and `byoc data check` prints the same sentence."""

from collections.abc import Iterator, Mapping, Sequence

from classifier.names import one_line
from classifier.photos import Photo

LISTED = 5  # how many photos or classes a message names

Missing = Mapping[str, Mapping[int, str]]  # by split: the index of each unreadable photo, and why it cannot be read


def faults(
    splits: Mapping[str, Sequence[Photo]], missing: Missing, limit: float, classes: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence for each reason to refuse: too many photos, all of a split, or all of a class of train are unreadable.

    `limit` is in percent of all photos. `classes` are the names of the labels; if empty, classes are not checked.
    """
    if sentence := too_many(splits, missing, limit):
        yield sentence
    for name, photos in splits.items():
        reasons = missing.get(name, {})
        if len(reasons) == len(photos):
            yield f"none of the {len(photos)} {name} photos can be read; replace them, byoc data check DIR lists all"
        elif name == "train" and reasons:
            there = {photo.label for place, photo in enumerate(photos) if place not in reasons}
            absent = [label for label in range(len(classes)) if label not in there]
            if absent:
                named = "; ".join(_named(classes[label], label, photos, reasons) for label in absent[:LISTED])
                yield (
                    f"no train photo of {len(absent)} of the {len(classes)} classes can be read: {named}; replace the photos or "
                    "remove the class, byoc data check DIR lists all"
                )


def too_many(splits: Mapping[str, Sequence[Photo]], missing: Missing, limit: float) -> str | None:
    """Return the sentence that refuses photos of which more than `limit` percent are unreadable; else None."""
    total, count = sum(map(len, splits.values())), sum(map(len, missing.values()))
    if 100 * count <= limit * total:
        return None
    reasons = [(splits[name][place], why) for name, held in missing.items() for place, why in sorted(held.items())]
    named = "; ".join(f"{one_line(photo.path)}: {why}" for photo, why in reasons[:LISTED])
    return (
        f"{count} of {total} photos cannot be read, over the limit of {limit:g} % (hyperparameter max-unreadable): "
        f"{named}; remove or replace them, byoc data check DIR lists all"
    )


def _named(name: str, label: int, photos: Sequence[Photo], reasons: Mapping[int, str]) -> str:
    first = next((place for place in sorted(reasons) if photos[place].label == label), None)
    return repr(name) if first is None else f"{name!r} ({one_line(photos[first].path)}: {reasons[first]})"
