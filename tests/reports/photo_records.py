"""Records on single photos, as training writes them, with thumbnails of one colour."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tests.reports.made import CLASSES, Record, record


def jpeg(colour: str = "teal", size: tuple[int, int] = (64, 48)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def photo(number: int, split: str, label: str, **values: Any) -> Record:
    path = f"training/{split}/{label}/{number:03d}.jpg"
    return {"path": path, "split": split, "label": label, "jpeg": jpeg(), **values}


def mislabelled(photos: Sequence[Record], **values: Any) -> Record:
    return record("mislabelled", **{"photos": photos, "count": len(photos), "judged": 420, "of": 420} | values)


def near_duplicates(pairs: Sequence[tuple[Record, Record, float]], **values: Any) -> Record:
    held = [{"first": first, "second": second, "cosine": cosine} for first, second, cosine in pairs]
    return record(
        "near_duplicates", **{"pairs": held, "count": len(held), "compared": 40_000, "least_cosine": 0.95} | values
    )


def answer(number: int, split: str, truth: str, prediction: str, *reasons: str, **values: Any) -> Record:
    shown = photo(number, split, truth)
    held = {"path": shown["path"], "truth": truth, "prediction": prediction, "jpeg": shown["jpeg"]}
    return held | {"probability": 0.9 - number / 100, "margin": 0.3 + number / 100, "reasons": reasons} | values


def thumbnails(split: str, photos: Sequence[Record]) -> Record:
    return record("thumbnails", split=split, photos=photos)


def some(classes: Sequence[str] = CLASSES) -> list[Record]:
    """Return one record of each kind, and two of answers."""
    one, two, *_ = classes
    suspects = [photo(number, "train", one, suggestion=two, score=0.95 - number / 100) for number in range(6)]
    pairs = [
        (photo(1, "train", one), photo(2, "test", one), 0.99),
        (photo(3, "train", two), photo(4, "test", one), 0.96),
    ]
    return [
        mislabelled(suspects),
        near_duplicates(pairs),
        *(
            thumbnails(
                split,
                [
                    answer(1, split, one, two, "wrong", "confused"),
                    answer(2, split, one, two, "wrong", "uncertain"),
                    answer(3, split, two, one, "confused"),
                    answer(4, split, one, one, "uncertain", margin=0.01),
                ],
            )
            for split in ("validation", "test")
        ),
    ]
