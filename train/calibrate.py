"""Temperature scaling: one number that makes a model's probabilities mean what they say (Guo et al. 2017)."""

import math

from torch import Tensor
from torch.nn import functional

LOWEST, HIGHEST = 0.05, 20.0
FEWEST = 20  # validation photos below which a temperature would say more about them than about the model
HALVINGS = 40  # of log T's range of 6, which leaves 5e-12


def fit_temperature(logits: Tensor, labels: Tensor) -> tuple[float, str]:
    """Return the temperature at which cross entropy of `logits` / temperature is lowest, and a sentence on how it was found.

    It lies between LOWEST and HIGHEST and is never worse than 1. It is 1 where the photos cannot tell: when they are
    fewer than FEWEST, or when all are predicted rightly. Cross entropy then falls all the way to temperature 0, which
    would claim a certainty that no photo has shown and multiply the rounding differences that the self-test bounds.
    """
    count = len(labels)
    if count < FEWEST:
        return 1.0, f"temperature 1: {count} validation photos are too few to fit it, at least {FEWEST} are needed"
    if bool((logits.argmax(1) == labels).all()):
        return 1.0, f"temperature 1: all {count} validation photos are predicted rightly, which leaves nothing to fit"
    logits = logits.double()
    # Cross entropy is convex in 1/T: the sign of its slope there says on which side the one minimum lies.
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _slope(logits, labels, math.exp(middle)) < 0 else (middle, high)
    temperature = min(max(math.exp((low + high) / 2), LOWEST), HIGHEST)
    if not functional.cross_entropy(logits / temperature, labels) < functional.cross_entropy(logits, labels):
        return 1.0, f"temperature 1: no other has a lower cross entropy on {count} validation photos"
    return temperature, f"temperature {temperature:.4g}, fitted on {count} validation photos"


def _slope(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Return the derivative of the mean cross entropy by 1/T."""
    expected = ((logits / temperature).softmax(1) * logits).sum(1)
    return float((expected - logits.gather(1, labels[:, None])[:, 0]).mean())
