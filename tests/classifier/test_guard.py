"""The guard's rule on generated logits: a backend may serve if its logits are as good as the trained model's."""

import numpy as np
import pytest

from classifier.backends import Logits
from classifier.guard import (
    FIRST,
    LEAST_NOISE,
    TIMES_ROUNDING,
    UNDECIDED,
    WORSE,
    Verdict,
    examine,
    judge,
    near,
    noise,
    softmax,
)
from classifier.guard_photos import GuardPhotos, lossless
from classifier.selftest import Difference

CLASSES, PHOTOS = 5, 64


def made(photos: int = PHOTOS, *, rounding: float = 0.02) -> GuardPhotos:
    """Return generated guard photos of a model that is mostly right: the label's logit is high."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, photos)
    logits = random.normal(0, 1, (photos, CLASSES)) + 3 * np.eye(CLASSES)[labels]
    files = tuple(lossless(np.full((2, 2, 3), number, np.uint8)) for number in range(photos))
    return GuardPhotos(files, labels, logits.astype(np.float32), rounding)


def noisy(logits: Logits, share: float) -> Logits:
    """Return logits with noise; `share` is its root mean square relative to the logits'."""
    random = np.random.default_rng(1).normal(0, 1, logits.shape)
    random -= random.mean(axis=1, keepdims=True)
    centred = logits - logits.mean(axis=1, keepdims=True)
    scale = share * np.sqrt(np.square(centred).mean() / np.square(random).mean())
    return (logits + scale * random).astype(np.float32)


def test_the_trained_models_own_logits_are_as_good() -> None:
    guard = made()
    verdict = judge(guard.logits, guard)
    assert verdict.refusal() == "" and (verdict.gain, verdict.error, verdict.changes, verdict.noise) == (0, 0, 0, 0)
    assert verdict.hits == verdict.trained_hits == (guard.logits.argmax(axis=1) == guard.labels).sum()


def test_a_model_that_gives_all_classes_the_same_logit_is_like_itself_and_like_no_other() -> None:
    same = np.zeros((4, 3), np.float32)
    assert noise(same, same) == 0 and noise(same + np.eye(4, 3, dtype=np.float32), same) > 1
    assert np.isnan(noise(same * np.float32("nan"), same))


def test_noise_is_allowed_as_far_as_rounding_explains_it() -> None:
    guard, small = made(rounding=0.02), made(rounding=0.001)
    for photos, limit in ((guard, 0.02 * TIMES_ROUNDING), (small, LEAST_NOISE)):
        assert judge(noisy(photos.logits, 0.98 * limit), photos).wrong() == ""
        over = judge(noisy(photos.logits, 1.02 * limit), photos)
        assert (
            over.wrong()
            == f"its logits are {1.02 * limit:.1%} off and {limit:.1%} is allowed, as much as rounding explains"
        )
    assert noise(guard.logits + 7, guard.logits) == pytest.approx(0, abs=1e-6)  # a shift keeps the probabilities


def test_another_best_class_is_allowed_only_where_the_trained_model_was_undecided() -> None:
    trained = np.log(np.array([[0.5 + UNDECIDED / 2, 0.5 - UNDECIDED / 2]], np.float32))
    for shift, decided in ((-0.01, 0), (0.01, 1)):
        logits = trained + np.array([[shift, -shift]], np.float32)
        guard = GuardPhotos((b"",), np.array([1]), logits, 10.0)
        verdict = judge(logits[:, ::-1], guard)
        assert (verdict.changes, verdict.decided_changes) == (1, decided)
        assert verdict.wrong() == ("it changes 1 best classes of which the trained model was sure" if decided else "")


def test_a_lower_log_likelihood_is_refused_with_twice_its_standard_error() -> None:
    labels = np.zeros(4, np.int64)
    trained = np.log(np.tile([0.8, 0.2], (4, 1))).astype(np.float32)
    guard = GuardPhotos((b"",) * 4, labels, trained, 10.0)
    lower = np.log(0.8) - np.array([WORSE - 0.001] * 4)
    found = np.stack([lower, np.log(1 - np.exp(lower))], axis=1).astype(np.float32)
    assert judge(found, guard).refusal() == ""
    uneven = np.log(0.8) - np.array([0, 2 * (WORSE - 0.001)] * 2)  # the mean stays the same
    found = np.stack([uneven, np.log(1 - np.exp(uneven))], axis=1).astype(np.float32)
    verdict = judge(found, guard)
    assert verdict.gain == pytest.approx(-WORSE + 0.001, abs=1e-5) and verdict.error > 0.01
    assert verdict.refusal() == (
        f"its log-likelihood may be lower by {2 * verdict.error - verdict.gain:.3f} and {WORSE} is allowed"
    )


def test_classes_that_are_shifted_by_one_and_numbers_that_are_not_finite_are_refused() -> None:
    guard = made()
    shifted = judge(np.roll(guard.logits, 1, axis=1), guard)
    assert (
        "best classes of which the trained model was sure" in shifted.refusal()
        and "may be lower by" in shifted.refusal()
    )
    assert judge(guard.logits * np.float32("nan"), guard).refusal()


def test_only_as_many_photos_are_computed_as_suffice() -> None:
    guard = made(200, rounding=1.0)
    seen: list[int] = []

    def answers(add: Logits) -> Verdict:
        def forward(pixels: np.ndarray) -> Logits:
            first = pixels[0, 0, 0, 0]
            seen.append(len(pixels))
            return (guard.logits + add)[first : first + len(pixels)]

        seen.clear()
        return examine(forward, guard, 2)

    assert answers(np.zeros_like(guard.logits)).photos == FIRST and seen == [32]
    uncertain = np.where(np.arange(200) % 2, 0.5, -0.5)[:, None] * np.eye(CLASSES)[guard.labels]
    assert answers(uncertain.astype(np.float32)).photos > FIRST
    wrong = answers(np.roll(guard.logits, 1, axis=1) - guard.logits)
    assert wrong.photos == FIRST and wrong.refusal()  # more photos would not change the verdict


def test_a_single_photo_can_be_judged() -> None:
    guard = made(1)
    assert judge(guard.logits, guard).refusal() == ""


@pytest.mark.parametrize(("largest", "changes", "within"), [(0.01, 0, True), (0.0100001, 0, False), (0.0, 1, False)])
def test_without_labelled_photos_a_backend_must_stay_near_on_the_self_test(
    largest: float, changes: int, within: bool
) -> None:
    assert near(Difference(largest, 0.0, changes)) == within


def test_softmax_sums_to_one_also_for_large_logits() -> None:
    found = softmax(np.array([[1000, 1001, 999], [-5, 0, 5]], np.float32))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
