"""Chooses notable answers of the trained model: the surest mistakes, the least certain answers, and those of confused pairs of classes."""

from dataclasses import dataclass

from torch import Tensor

WRONG, UNCERTAIN = 16, 12  # photos of a split that are shown
PAIRS, OF_A_PAIR = 8, 3  # pairs of classes, and photos of each


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A photo's place, the class that the model predicts, its probability, and why the photo is shown.

    `reasons` holds some of `wrong`, `uncertain` and `confused`. `margin` is the difference between the probabilities of the best class and
    the second.
    """

    place: int
    prediction: int
    probability: float
    margin: float
    reasons: tuple[str, ...]


def notable(logits: Tensor, labels: Tensor) -> list[Answer]:
    """Choose the photos to show from calibrated logits [N, classes] and labels [N]: for each reason, the clearest first."""
    best = logits.softmax(1).topk(2)
    probability, prediction = best.values[:, 0], best.indices[:, 0]
    margin = probability - best.values[:, 1]
    surest = probability.argsort(descending=True, stable=True)
    wrong = surest[(prediction != labels)[surest]].tolist()
    chosen = {
        "wrong": wrong[:WRONG],
        "uncertain": margin.argsort(stable=True)[:UNCERTAIN].tolist(),
        "confused": _confused(wrong, labels, prediction),
    }
    return [
        Answer(
            place=place,
            prediction=int(prediction[place]),
            probability=float(probability[place]),
            margin=float(margin[place]),
            reasons=tuple(reason for reason, places in chosen.items() if place in places),
        )
        for place in dict.fromkeys(place for places in chosen.values() for place in places)
    ]


def _confused(wrong: list[int], labels: Tensor, prediction: Tensor) -> list[int]:
    """Return photos of the pairs of classes that are confused most; `wrong` lists all wrongly classified photos, the surest first."""
    pairs: dict[tuple[int, int], list[int]] = {}
    for place in wrong:
        pairs.setdefault((int(labels[place]), int(prediction[place])), []).append(place)
    most = sorted(pairs.values(), key=len, reverse=True)[:PAIRS]
    return [place for places in most for place in places[:OF_A_PAIR]]
