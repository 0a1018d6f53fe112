"""The guard: the rule that allows a backend to serve, judged on labelled validation photos (classifier/guard_photos.py).

A user must get answers that are as good as the trained model's. If an artifact has no such photos, a backend must stay close to the trained
model on the photos of the self-test. Imports no torch.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.backends import Forward, Logits
from classifier.guard_photos import GuardPhotos
from classifier.selftest import Difference

# The rule's limits. They were chosen from the table in docs/serving-speed.md.
WORSE = 0.03  # nats a photo: a backend's log-likelihood may be this much lower than the trained model's, including two standard errors
# If the trained model's two largest probabilities differ by no more than this, it was undecided, and another best class is as good.
# bfloat16 changed 31 best classes in 2,900 comparisons, the most decided of them with probabilities 0.2 apart.
UNDECIDED = 0.25
# The most noise, as a multiple of the noise that rounding to bfloat16 causes in the same model. OpenVINO at bfloat16 had 0.8 to 1.6 times
# that noise.
TIMES_ROUNDING = 2
LEAST_NOISE = 0.02  # noise that is always allowed
FIRST = 32  # the number of photos that judge a backend at first
# Without labelled photos: no probability for the self-test's photos may differ from the trained model's by more.
NEAR = 0.01


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A backend's answers beside the trained model's, on labelled photos."""

    photos: int
    hits: int  # photos whose best class is right
    trained_hits: int
    gain: float  # the mean difference of the log-likelihoods in nats, below 0 if the backend's is lower
    error: float  # the standard error of `gain`
    changes: int  # best classes that differ
    decided_changes: int  # differing best classes of photos on which the trained model was decided
    noise: float
    most_noise: float  # the noise that is allowed

    @property
    def surely_as_good(self) -> bool:
        """Whether the log-likelihood is high enough. If this is False, a verdict on more photos may still be True."""
        return self.gain - 2 * self.error >= -WORSE

    def wrong(self) -> str:
        """Return the evidence that the backend computes something else, as a clause; empty if there is none."""
        reasons = []
        if self.decided_changes:
            reasons.append(f"it changes {self.decided_changes} best classes of which the trained model was sure")
        if not self.noise <= self.most_noise:  # this form of the condition also refuses nan
            reasons.append(
                f"its logits are {self.noise:.1%} off and {self.most_noise:.1%} is allowed, as much as rounding explains"
            )
        return " and ".join(reasons)

    def refusal(self) -> str:
        """Return why the backend must not serve, as a clause; empty if it may."""
        if self.surely_as_good:
            return self.wrong()
        lower = f"its log-likelihood may be lower by {2 * self.error - self.gain:.3f} and {WORSE} is allowed"
        return " and ".join(filter(None, [self.wrong(), lower]))

    def __str__(self) -> str:
        return (
            f"on {self.photos} validation photos it is right about {self.hits} and the trained model about {self.trained_hits}, "
            f"its log-likelihood changes by {self.gain:+.4f}"
        )


def examine(forward: Forward, guard: GuardPhotos, crop: int) -> Verdict:
    """Judge a backend on as few of the guard's photos as suffice.

    These are 32 at first. Their number is doubled as long as only the log-likelihood is uncertain.
    """
    found = forward(guard.pixels(crop, 0, FIRST))
    while True:
        verdict = judge(found, guard)
        if verdict.surely_as_good or verdict.wrong() or len(found) == len(guard.labels):
            return verdict
        found = np.concatenate([found, forward(guard.pixels(crop, len(found), 2 * len(found)))])


def judge(found: Logits, guard: GuardPhotos) -> Verdict:
    """Compare a backend's logits [n, classes] for the first n photos with the trained model's."""
    labels, trained = guard.labels[: len(found)], guard.logits[: len(found)]
    ours, theirs, rows = _log_softmax(found), _log_softmax(trained), np.arange(len(labels))
    gains = ours[rows, labels] - theirs[rows, labels]
    best, trained_best = ours.argmax(axis=1), theirs.argmax(axis=1)
    second, first = np.sort(np.exp(theirs), axis=1)[:, -2:].T
    changed = best != trained_best
    spread = gains.std(ddof=1) if len(gains) > 1 else abs(gains[0])
    return Verdict(
        photos=len(labels),
        hits=int((best == labels).sum()),
        trained_hits=int((trained_best == labels).sum()),
        gain=float(gains.mean()),
        error=float(spread) / math.sqrt(len(gains)),
        changes=int(changed.sum()),
        decided_changes=int((changed & (first - second > UNDECIDED)).sum()),
        noise=noise(found, trained),
        most_noise=max(LEAST_NOISE, TIMES_ROUNDING * guard.rounding),
    )


def noise(found: Logits, trained: Logits) -> float:
    """Return the noise of logits: the root mean square of their differences from the trained model's, as a share of the latter's own.

    Each photo's mean is subtracted before, since it has no influence on probabilities.
    """
    expected = _centred(trained)
    # If a model gives every class the same logit, the divisor would be 0.
    size = max(np.square(expected).mean(), np.finfo(np.float64).tiny)
    return float(np.sqrt(np.square(_centred(found) - expected).mean() / size))


def near(difference: Difference) -> bool:
    """Return whether a backend may serve an artifact without labelled photos."""
    return not difference.top1_changes and difference.largest <= NEAR


def softmax(logits: Logits) -> npt.NDArray[np.float32]:
    """Return the probabilities of logits [N, classes]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _centred(logits: Logits) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = logits - logits.mean(axis=1, keepdims=True, dtype=np.float64)
    return result
