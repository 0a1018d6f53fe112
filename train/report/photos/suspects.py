"""Photos that look mislabelled: heads that have not seen their labels are surer of another class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.calibrate import fit_temperature
from train.report.photos.folds import out_of_fold

LEAST_SCORE = 0.1  # a class that is hardly likelier than the label is no reason to look
CALIBRATED = 2_000  # photos by which scores become probabilities
FEWEST = 5  # photos of a class; with fewer, some head would have seen too few of it


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo, by its place, the class that the heads suggest, and how much likelier they find it than the label (0 to 1)."""

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

    A photo is suspect if another class than its label is likeliest, and is at least as likely as it is for the photos of that
    class on average (confident learning, Northcutt et al. 2021). Classes of fewer than FEWEST photos are left out.
    """
    common = labels.bincount(minlength=classes) >= FEWEST
    kept = common[labels].nonzero().flatten()
    if int(common.sum()) < 2:
        return Suspects(found=(), judged=0)
    numbers = common.cumsum(0) - 1  # of the classes that are kept
    names = common.nonzero().flatten()
    own = numbers[labels[kept]]
    scores = out_of_fold(features[kept], own, len(names))
    some = slice(None, None, -(-len(own) // CALIBRATED))
    temperature, _ = fit_temperature(scores[some], own[some])
    shares = (scores / temperature).softmax(1)
    of_label = shares.gather(1, own[:, None])[:, 0]
    usual = torch.zeros(len(names)).index_add_(0, own, of_label) / own.bincount(minlength=len(names))
    best, suggested = shares.max(1)
    gaps = best - of_label
    suspect = ((gaps > LEAST_SCORE) & (best >= usual[suggested])).nonzero().flatten()
    order = suspect[gaps[suspect].argsort(descending=True, stable=True)]
    return Suspects(
        found=tuple(
            Suspect(place=int(kept[row]), suggestion=int(names[suggested[row]]), score=float(gaps[row]))
            for row in order
        ),
        judged=len(kept),
    )
