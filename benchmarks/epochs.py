"""Parts of benchmarks.train on whole jobs: five epochs and a search against the copied loop, and what fine-tuning adds."""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.machine import NotRun, has_bf16
from benchmarks.parts import Figure, Options
from benchmarks.photos import selected
from benchmarks.runs import LITE, copied, extrapolated, ours
from launch.training import result

EPOCHS, LR = 5, 0.003
TARGET_BF16, TARGET_FP32, TARGET_TRIALS, TARGET_WAIT = 10, 5, 100, 0.1
TRIALS, TRIAL_EPOCHS = 20, 3.5  # the original space draws 2 or 5 epochs
SEEN = ("train", "validation")  # the copied loop has no test photos


def dogs(options: Options) -> Iterator[Figure]:
    """Five epochs on the small folder at its natural sizes: both sides run whole, ours before and after the copied loop."""
    own: dict[str, list[float]] = {"auto": [], "fp32": []}
    batch = options.batch_size

    def run_ours() -> None:
        for precision, seconds in own.items():
            settings = {"precision": precision, "epochs": EPOCHS, "lr": LR, "batch-size": batch}
            seconds.append(ours(split.folder, options.backbone, settings, threads=options.threads).seconds)

    with selected(options.small, photos=options.small_photos, splits=SEEN) as split:
        run_ours()
        theirs = copied(split.folder, options.backbone, options.threads, epochs=EPOCHS, lr=LR, batch_size=batch).seconds
        run_ours()
    yield Figure("photos", sum(split.counts.values()))
    yield Figure("copied loop, s", theirs)
    for precision, target in (("auto", TARGET_BF16 if has_bf16() else TARGET_FP32), ("fp32", TARGET_FP32)):
        taken = Figure.of(f"ours, {precision}, s", own[precision])
        yield taken
        yield Figure(f"copied loop / ours, {precision}", theirs / taken.value, at_least=target)


def accuracy(options: Options) -> Iterator[Figure]:
    """Real weights, real training: accuracy on validation photos after the same five epochs."""
    batch = options.batch_size
    with selected(options.folder, classes=options.classes, splits=SEEN) as split:
        settings = {"epochs": EPOCHS, "lr": LR, "batch-size": batch}
        run = ours(split.folder, LITE, settings, threads=options.threads)
        theirs = copied(split.folder, LITE, options.threads, epochs=EPOCHS, lr=LR, batch_size=batch)
    own = run.epochs("head")[-1]["validation_accuracy"]
    best = max(phase["accuracy"] for phase in theirs.of("validation"))
    yield Figure("photos to validate on", split.counts["validation"])
    yield Figure(f"validation accuracy of ours after {EPOCHS} epochs", own)
    yield Figure("validation accuracy of the copied loop in its best epoch", best)
    yield Figure("validation accuracy, ours minus copied loop", own - best, at_least=0)
    yield Figure("copied loop / ours, s", theirs.seconds / run.seconds)


def trials(folder: Path, photos: int | None, options: Options) -> Iterator[Figure]:
    """A search of 20 trials against 20 trainings of the copied loop, extrapolated from some of its steps."""
    steps, batch = options.steps, options.batch_size
    with selected(folder, photos=photos, splits=SEEN) as split:
        # The space has two batch sizes: half of what is measured is of each.
        runs = [copied(split.folder, options.backbone, options.threads, steps=max(2, steps), batch_size=batch)]
        own = ours(split.folder, options.backbone, {"search-trials": TRIALS}, threads=options.threads).seconds
        steps = max(2, steps // 2)
        runs += [copied(split.folder, options.backbone, options.threads, steps=steps, batch_size=2 * batch)]
    theirs = TRIALS * extrapolated(runs, split.counts, TRIAL_EPOCHS)
    yield Figure("photos", sum(split.counts.values()))
    yield Figure(f"{TRIALS} copied loops, s", theirs)
    yield Figure("of which measured, steps", sum(len(phase["step_photos"]) for run in runs for phase in run.phases))
    yield Figure(f"{TRIALS} trials of ours, s", own)
    yield Figure("copied loops / ours", theirs / own, at_least=TARGET_TRIALS)


def finetune(options: Options) -> Iterator[Figure]:
    """How long fine-tuning waits for photos, and what it adds to the frozen head on the test photos."""
    with (
        TemporaryDirectory(prefix="bench-cache-") as cache,
        selected(options.folder, classes=options.finetune_classes) as split,
    ):
        if "test" not in split.counts:
            raise NotRun(f"{options.folder} holds no test photos; add a folder test")
        # The frozen run leaves its features in the cache, so that the other's seconds are those of fine-tuning alone.
        frozen, tuned = (
            ours(split.folder, LITE, {"finetune-epochs": epochs}, threads=options.threads, cache=Path(cache))
            for epochs in (0, options.finetune_epochs)
        )
    stage = tuned.epochs("finetune")
    yield Figure("without fine-tuning, s", frozen.seconds)
    yield Figure("fine-tuning, s", sum(epoch["epoch_seconds"] for epoch in stage))
    yield Figure("fine-tuning, photos/s", mean(epoch["images_per_second"] for epoch in stage))
    wait = mean(epoch["data_wait_share"] for epoch in stage)
    yield Figure("share of its time that fine-tuning waits for photos", wait, at_most=TARGET_WAIT)
    for name, run in (("of the frozen head", frozen), ("after fine-tuning", tuned)):
        for part in ("validation", "test"):
            found = result(run.records, part)
            low, high = found["accuracy_interval"]
            yield Figure(f"{part} accuracy {name}", found["accuracy"], low=low, high=high)
