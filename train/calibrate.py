"""Temperature scaling: dividing the logits by one number makes probabilities match the accuracy (Guo et al. 2017)."""

import math

from torch import Tensor
from torch.nn import functional

LOWEST, HIGHEST = 0.05, 20.0
FEWEST = 20  # validation photos; with fewer, the temperature would fit these photos by chance
HALVINGS = 40  # halvings of the range of log T, from a width of 6 to a width of 5e-12


def fit_temperature(logits: Tensor, labels: Tensor) -> tuple[float, str]:
    """Return the temperature with the lowest cross entropy of logits / temperature, and a sentence about the fit.

    It is between LOWEST and HIGHEST, and is 1 if no other temperature is better. It is also 1 if there are fewer than FEWEST photos,
    or if all predictions are right. In the last case cross entropy falls until temperature 0, which would claim an unproven certainty, and
    would multiply the rounding differences that the self-test limits.
    """
    count = len(labels)
    if count < FEWEST:
        return 1.0, f"temperature 1: {count} validation photos are too few to fit it, at least {FEWEST} are needed"
    if bool((logits.argmax(1) == labels).all()):
        return 1.0, f"temperature 1: all {count} validation photos are predicted rightly, which leaves nothing to fit"
    logits = logits.double()
    # Cross entropy is convex in 1/T, so its slope's sign shows the side of its only minimum.
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _slope(logits, labels, math.exp(middle)) < 0 else (middle, high)
    temperature = min(max(math.exp((low + high) / 2), LOWEST), HIGHEST)
    if not functional.cross_entropy(logits / temperature, labels) < functional.cross_entropy(logits, labels):
        return 1.0, f"temperature 1: no other has a lower cross entropy on {count} validation photos"
    return temperature, f"temperature {temperature:.4g}, fitted on {count} validation photos"


def _slope(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Return the derivative of the mean cross entropy with respect to 1/T."""
    expected = ((logits / temperature).softmax(1) * logits).sum(1)
    return float((expected - logits.gather(1, labels[:, None])[:, 0]).mean())
