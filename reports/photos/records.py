"""Reads the records about single photos. Each function returns the facts in a record, or None if a required member is missing."""

import re

from reports.photos.facts import Answer, Duplicates, Pair, Photo, Suspect, Suspects
from reports.sources.values import Fields

MOST = 400  # at most this many photos or pairs are read from one record; training writes at most 200
LARGEST = 10_000  # characters; a longer thumbnail is dropped (those that training writes have about 3,000)
_JPEG = re.compile("/9j/[A-Za-z0-9+/]*={0,2}")  # a JPEG file in base64


def suspects(record: Fields) -> Suspects | None:
    """Return the photos that look mislabelled; None without the number of judged photos."""
    judged = record.count("judged")
    if judged is None:
        return None
    found = []
    for item in _objects(record, "photos"):
        photo, score = _photo(item), item.share("score")
        if photo and score is not None:
            found.append(Suspect(photo=photo, suggestion=item.text("suggestion"), score=score))
    return Suspects(
        photos=tuple(found),
        count=record.count("count") or len(found),
        judged=judged,
        of=record.count("of") or judged,
    )


def duplicates(record: Fields) -> Duplicates | None:
    """Return the near-duplicates across splits; None without the number of compared pairs."""
    compared = record.count("compared")
    if compared is None:
        return None
    found = []
    for item in _objects(record, "pairs"):
        first, second, cosine = _photo(item.inside("first")), _photo(item.inside("second")), item.number("cosine")
        if first and second and cosine is not None:
            found.append(Pair(first=first, second=second, cosine=cosine))
    return Duplicates(
        pairs=tuple(found),
        count=record.count("count") or len(found),
        compared=compared,
        least_cosine=record.number("least_cosine") or 0.0,
    )


def answers(record: Fields) -> tuple[Answer, ...] | None:
    """Return the answers of one split that a person should look at; None without the name of the split."""
    split = record.text("split")
    if not split:
        return None
    found = []
    for item in _objects(record, "photos"):
        photo, probability = _photo(item, split), item.share("probability")
        if photo and probability is not None:
            found.append(
                Answer(
                    photo=photo,
                    prediction=item.text("prediction"),
                    probability=probability,
                    margin=item.share("margin") or 0.0,
                    reasons=tuple(str(reason) for reason in item.items("reasons")),
                )
            )
    return tuple(found)


def _objects(record: Fields, name: str) -> list[Fields]:
    return [Fields(item) for item in record.items(name) if isinstance(item, dict)][:MOST]


def _photo(item: Fields, split: str = "") -> Photo | None:
    """Return a photo; None without a path. An answer names its class `truth` and has no split: the caller passes it."""
    if not item.text("path"):
        return None
    jpeg = item.text("jpeg")
    return Photo(
        path=item.text("path"),
        split=split or item.text("split"),
        label=item.text("truth") or item.text("label"),
        jpeg=jpeg if len(jpeg) <= LARGEST and _JPEG.fullmatch(jpeg) else "",
    )
