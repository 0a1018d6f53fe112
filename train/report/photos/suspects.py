"""Photos that look mislabelled: heads that were not fitted on their labels are surer of another class."""

from dataclasses import dataclass

from torch import Tensor

from train.calibrate import fit_temperature
from train.report.photos.folds import out_of_fold

# With 5 % of the labels of 40 dog breeds made wrong, 92 % of the wrong ones reached this score; 62 % of all that reached it were wrong.
LEAST_SCORE = 0.5
CALIBRATED = 2_000  # the conversion of scores into probabilities is fitted on about this many photos
FEWEST = 5  # a class with fewer photos is not judged, because too few would be left to fit a head on


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo's index, the class that the heads suggest, and by how much its probability exceeds the label's (0 to 1)."""

    place: int
    suggestion: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The photos that look mislabelled, the surest first, and how many photos were judged."""

    found: tuple[Suspect, ...]
    judged: int


def mislabelled(features: Tensor, labels: Tensor, classes: int) -> Suspects:
    """Judge the labels int64 [N] of photos by their features float32 [N, D].

    A photo is suspect if the heads find another class likelier than its label by LEAST_SCORE. Classes of fewer than FEWEST
    photos are left out.
    """
    common = labels.bincount(minlength=classes) >= FEWEST
    kept = common[labels].nonzero().flatten()
    if int(common.sum()) < 2:
        return Suspects(found=(), judged=0)
    numbers = common.cumsum(0) - 1  # the new index of each kept class
    names = common.nonzero().flatten()
    own = numbers[labels[kept]]
    shares = _probabilities(out_of_fold(features[kept], own, len(names)), own)
    best, suggested = shares.max(1)
    gaps = best - shares.gather(1, own[:, None])[:, 0]
    suspect = (gaps > LEAST_SCORE).nonzero().flatten()
    order = suspect[gaps[suspect].argsort(descending=True, stable=True)]
    return Suspects(
        found=tuple(
            Suspect(place=int(kept[row]), suggestion=int(names[suggested[row]]), score=float(gaps[row]))
            for row in order
        ),
        judged=len(kept),
    )


def _probabilities(scores: Tensor, labels: Tensor) -> Tensor:
    """Convert scores [N, classes] into calibrated probabilities. They are fitted to the labels [N] of about CALIBRATED photos."""
    step = -(-len(labels) // CALIBRATED)
    if bool((scores.argmax(1) == labels)[::step].all()):
        step = 1  # the scale of the scores can be fitted only with mistakes
    temperature, _ = fit_temperature(scores[::step], labels[::step])
    return (scores / temperature).softmax(1)
