"""Reads the JSON object of a record into a dataclass, one function for each kind. It returns None if a required member is missing."""

from reports.facts import CalibrationBin, ClassScore, Epoch, Job, LayerStatistics, Result, Trial
from reports.sources.values import Fields, number, setting

Matrix = tuple[tuple[int, ...], ...]
ROUNDING = 1e-6


def job(record: Fields) -> Job:
    """Return the facts in the job record. An absent member becomes empty or None."""
    return Job(
        program=record.text("program") or None,
        libraries={name: str(value) for name, value in record.inside("libraries").values.items()},
        hyperparameters={name: setting(value) for name, value in record.inside("hyperparameters").values.items()},
        classes=tuple(str(name) for name in record.items("classes")),
        photos={name: int(count) for name, count in record.inside("photos").numbers().items()},
        notes=tuple(str(note) for note in record.items("notes")),
        processes=record.count("processes"),
        started=record.number("time"),
        class_photos={
            split: tuple(int(found) for item in items if (found := number(item)) is not None and found >= 0)
            for split, items in record.inside("class_photos").values.items()
            if isinstance(items, list)
        },
        cores=record.count("cores"),
        loaders=record.count("loaders"),
    )


def epoch(record: Fields) -> Epoch | None:
    """Return one epoch; None without its number."""
    count = record.count("epoch")
    if count is None:
        return None
    return Epoch(
        stage=record.text("stage") or "training",
        number=count,
        train_loss=record.amount("train_loss"),
        train_accuracy=record.share("train_accuracy"),
        validation_loss=record.amount("validation_loss"),
        validation_accuracy=record.share("validation_accuracy"),
        learning_rate=record.amount("learning_rate"),
        seconds=record.amount("epoch_seconds"),
        images_per_second=record.amount("images_per_second"),
        data_wait_share=record.share("data_wait_share"),
        step_losses=tuple(number(loss) for loss in record.items("step_losses")),
        step_seconds=tuple(
            time for item in record.items("step_seconds") if (time := number(item)) is not None and time >= 0
        ),
    )


def trial(record: Fields) -> Trial | None:
    """Return one trial of a search; None without its number."""
    count = record.count("number")
    if count is None:
        return None
    return Trial(
        number=count,
        hyperparameters={name: setting(value) for name, value in record.inside("hyperparameters").values.items()},
        accuracy=record.share("validation_accuracy"),
        loss=record.amount("validation_loss"),
        seconds=record.amount("seconds"),
        reason=record.text("reason"),
    )


def result(record: Fields) -> Result | None:
    """Return the result on a split; None without name, accuracy or count."""
    split, accuracy, count = record.text("split"), record.share("accuracy"), record.count("count")
    if not split or accuracy is None or count is None:
        return None
    return Result(
        split=split,
        stage=record.text("stage"),
        best_epoch=record.count("best_epoch"),
        count=count,
        accuracy=accuracy,
        interval=_interval(record, accuracy),
        loss=record.amount("loss"),
        top5=record.share("top5"),
        macro_f1=record.share("macro_f1"),
        ece=record.share("ece"),
        temperature=record.amount("temperature"),
        calibration=_calibration(record.inside("calibration")),
    )


def _interval(record: Fields, accuracy: float) -> tuple[float, float] | None:
    """Return the interval of an accuracy; None if the interval does not contain the accuracy, or is not within 0 to 1 (up to ROUNDING)."""
    ends = [end for item in record.items("accuracy_interval") if (end := number(item)) is not None]
    if len(ends) != 2 or not -ROUNDING <= ends[0] <= accuracy + ROUNDING <= ends[1] + 2 * ROUNDING <= 1 + 3 * ROUNDING:
        return None
    return ends[0], ends[1]


def _calibration(held: Fields) -> tuple[CalibrationBin, ...]:
    """Return the bins of a reliability diagram that hold photos; no bins if the three lists differ in length."""
    counts, hits, means = ([number(item) for item in held.items(name)] for name in ("count", "hits", "confidence"))
    if not counts or not len(counts) == len(hits) == len(means):
        return ()
    return tuple(
        CalibrationBin(
            low=place / len(counts), high=(place + 1) / len(counts), count=int(count), hits=int(right), confidence=mean
        )
        for place, (count, right, mean) in enumerate(zip(counts, hits, means, strict=True))
        if count and right is not None and mean is not None and 0 <= right <= count
    )


def confusion(record: Fields) -> Matrix | None:
    """Return a confusion matrix; None if it is not square, or if a value is not a count."""
    rows = [row for row in record.items("matrix") if isinstance(row, list)]
    counts = [[found for count in row if (found := number(count)) is not None and found >= 0] for row in rows]
    if not record.text("split") or not counts or any(len(row) != len(counts) for row in counts):
        return None
    return tuple(tuple(map(int, row)) for row in counts)


def classes(record: Fields) -> tuple[ClassScore, ...] | None:
    """Return the scores of a split's classes; None without a score."""
    scores = [Fields(item) for item in record.items("classes") if isinstance(item, dict)]
    if not record.text("split") or not scores:
        return None
    return tuple(
        ClassScore(
            name=str(score.values.get("class", "?")),
            count=score.count("count") or 0,
            precision=score.share("precision"),
            recall=score.share("recall"),
            f1=score.share("f1"),
        )
        for score in scores
    )


def layers(record: Fields) -> list[LayerStatistics] | None:
    """Return the statistics of gradients, updates or activations at one step; None without a layer."""
    held = record.inside("layers")
    return [_layer(record, name, held.inside(name)) for name in held.values] or None


def _layer(record: Fields, name: str, values: Fields) -> LayerStatistics:
    return LayerStatistics(
        kind=record.text("kind"),
        layer=name,
        stage=record.text("stage"),
        epoch=record.count("epoch") or 0,
        step=record.count("step") or 0,
        mean=values.number("mean"),
        std=values.number("std"),
        share_zero=values.share("share_zero"),
        minimum=values.number("min"),
        maximum=values.number("max"),
        rms=values.number("rms"),
        p5=values.number("p5"),
        p95=values.number("p95"),
        weight_rms=values.number("weight_rms"),
        weight_std=values.number("weight_std"),
        share_dead=values.share("share_dead"),
    )
