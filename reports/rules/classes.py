"""Rules on classes: ClassImbalance and Confusion. Also finds the pairs of classes that are confused most."""

from dataclasses import dataclass

from reports.facts import Run, Split
from reports.names import quoted
from reports.rules.intervals import wilson
from reports.rules.stages import NO_RUN
from reports.rules.thresholds import Classes, Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered

NAMED = 3  # a sentence names at most this many pairs or classes


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes that the model confuses: it predicts `photos` of the `of` photos of the class `truth` as the class `prediction`.

    `low` and `high` are the 95 % interval of the share `photos` / `of`. `others` is the share of the other classes' photos that get the
    same prediction. If it is large, the model predicts that class for everything, and the two classes are not a pair.
    """

    truth: str
    prediction: str
    photos: int
    of: int
    low: float
    high: float
    others: float


def class_names(run: Run, split: Split) -> tuple[str, ...]:
    """Return the names of the classes; "class 1", "class 2" and so on if the names are not known."""
    count = len(split.confusion)
    known = run.job.classes if run.job else ()
    if len(known) != count:
        known = tuple(score.name for score in split.classes)
    return known if len(known) == count else tuple(f"class {number}" for number in range(1, count + 1))


def pairs(run: Run, split: Split) -> list[Pair]:
    """Return all pairs of classes with at least one confused photo, the highest lower bound of the share first."""
    names = class_names(run, split)
    columns, count = [sum(column) for column in zip(*split.confusion, strict=True)], sum(map(sum, split.confusion))
    found = []
    for truth, row in enumerate(split.confusion):
        total = sum(row)
        for prediction, photos in enumerate(row):
            if photos and prediction != truth:
                low, high = wilson(photos, total)
                further = count - total - sum(split.confusion[prediction])
                taken = columns[prediction] - photos - split.confusion[prediction][prediction]
                found.append(
                    Pair(
                        truth=names[truth],
                        prediction=names[prediction],
                        photos=photos,
                        of=total,
                        low=low,
                        high=high,
                        others=taken / further if further else 0.0,
                    )
                )
    return sorted(found, key=lambda pair: (-pair.low, -pair.photos, pair.truth, pair.prediction))


def judged_split(run: Run) -> Split | None:
    """Return the split that best represents new photos: test, else validation, else any other split. It has a confusion matrix."""
    held = {split.name: split for split in run.splits if split.confusion}
    return held.get("test") or held.get("validation") or next(iter(held.values()), None)


def class_imbalance(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether some classes have far more photos than others, and whether some are mostly predicted wrongly."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    split = judged_split(evidence.run)
    if split is None:
        return not_judged("No confusion matrix was recorded.")
    job = evidence.run.job
    learnt = job.class_photos.get("train", ()) if job else ()
    names = class_names(evidence.run, split)
    if len(learnt) != len(names):
        learnt = ()
    counts = [sum(row) for row in split.confusion]
    if sum(counts) < limits.classes.photos:
        return not_judged(
            f"The {sum(counts)} photos of {split.name} are too few; {limits.classes.photos} are needed.", sum(counts)
        )
    weighed = learnt or counts
    small, large = weighed.index(min(weighed)), weighed.index(max(weighed))
    ratio = weighed[large] / max(weighed[small], 1)
    said = (
        f"{'train' if learnt else split.name}: {quoted(names[large])} has {weighed[large]} photos and {quoted(names[small])} "
        f"{weighed[small]}"
        + ("" if learnt else " (the records hold the number of photos by class for this split only, not for train)")
    )
    missed = _missed(split, limits.classes)
    if ratio < limits.classes.imbalance and not missed:
        return quiet(f"{said}; no class is mostly missed.", sum(counts))
    found = [f"{said}: {ratio:.0f} times as many"] if ratio >= limits.classes.imbalance else []
    if missed:
        worst = ", ".join(
            f"{quoted(names[place])} ({split.confusion[place][place]} of {counts[place]} right)"
            for place in missed[:NAMED]
        )
        found.append(
            f"Classes of {split.name} that are predicted wrongly in more than {100 * limits.classes.misprediction:g} % of "
            f"their photos: {len(missed)}, {worst}"
        )
    return triggered(
        f"{'; '.join(found)}.",
        sum(counts),
        advice="Add photos of the rare and the missed classes, check the labels of their photos, or give all classes the same "
        "weight: --set class-weights=balanced.",
        loss=sum(counts[place] for place in missed) / sum(counts),
        episodes=max(1, len(missed)),
    )


def _missed(split: Split, limits: Classes) -> list[int]:
    """Return the indices of the classes that are predicted wrongly too often, the worst first.

    Our set compares the lower bound of the 95 % interval of the share with the limit; SageMaker's set compares the share itself.
    """
    shares = []
    for place, row in enumerate(split.confusion):
        wrong, total = sum(row) - row[place], sum(row)
        if total:
            share = wrong / total if limits.pair_share is None else wilson(wrong, total)[0]
            shares.append((share, place))
    return [place for share, place in sorted(shares, reverse=True) if share > limits.misprediction]


def confusion(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the model confuses classes with one another."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    split = judged_split(evidence.run)
    if split is None:
        return not_judged("No confusion matrix was recorded.")
    total = sum(map(sum, split.confusion))
    if not total:
        return not_judged(f"The confusion matrix of {split.name} is empty.")
    if limits.classes.pair_share is None:
        return _by_columns(evidence.run, split, limits.classes, total)
    found = [
        pair
        for pair in pairs(evidence.run, split)
        if pair.low > limits.classes.pair_share + pair.others and pair.photos >= limits.classes.pair_photos
    ]
    if not found:
        return quiet(
            f"{split.name}: for no pair of classes is a confusion of {100 * limits.classes.pair_share:g} % certain.",
            total,
        )
    named = "; ".join(
        f"{pair.photos} of {pair.of} photos of {quoted(pair.truth)} are taken for {quoted(pair.prediction)} "
        f"(95 % interval {100 * pair.low:.0f} to {100 * pair.high:.0f} %)"
        for pair in found[:NAMED]
    )
    more = f"; and {len(found) - NAMED} pairs more" if len(found) > NAMED else ""
    return triggered(
        f"{split.name}: {named}{more}.",
        total,
        advice="Look at the photos of these pairs: are the labels right, and can a person tell them apart? If so, add photos "
        "of both, or train the backbone too: --set finetune-epochs=5.",
        loss=sum(pair.photos for pair in found) / total,
        episodes=len(found),
    )


def _by_columns(run: Run, split: Split, limits: Classes, total: int) -> Verdict:
    """Judge as SageMaker does: by the share of a class's predictions that are right, and the largest share that are of one other class."""
    names, bad = class_names(run, split), []
    for place, name in enumerate(names):
        column = [row[place] for row in split.confusion]
        predicted = sum(column)
        others = max((count for truth, count in enumerate(column) if truth != place), default=0)
        low = limits.diagonal is not None and predicted and column[place] / predicted < limits.diagonal
        high = limits.off_diagonal is not None and predicted and others / predicted > limits.off_diagonal
        if low or high:
            bad.append(f"{quoted(name)} ({column[place]} of {predicted} right)")
    said = f"{split.name}: for {len(bad)} of {len(names)} classes less than {100 * (limits.diagonal or 0):g} % of predictions are right"
    if not bad:
        return quiet(f"{said}.", total)
    return triggered(
        f"{said}, or more than {100 * (limits.off_diagonal or 0):g} % belong to one other class: {', '.join(bad[:NAMED])}.",
        total,
        advice="With many classes and few photos this fires on good models too; see the verdict of our own thresholds.",
        loss=len(bad) / len(names),
        episodes=len(bad),
    )
