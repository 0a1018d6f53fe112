"""Parts of benchmarks.train on whole jobs: five epochs and a search against the copied loop, and what fine-tuning adds."""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.machine import NotRun, has_bf16
from benchmarks.parts import Figure, Options
from benchmarks.photos import Split, selected
from benchmarks.runs import LITE, Run, copied, extrapolated, ours
from launch.training import result

EPOCHS, LR = 5, 0.003
TARGET_BF16, TARGET_FP32, TARGET_TRIALS, TARGET_WAIT = 10, 5, 100, 0.1
TRIALS, TRIAL_EPOCHS = 20, 3.5  # the original space draws 2 or 5 epochs


def epochs(split: Split, options: Options, backbone: str | None = None) -> Iterator[Figure]:
    """Five epochs: both sides run whole, ours before and after the copied loop; how long they take, and how accurate they are."""
    name, runs = backbone or options.backbone, {"auto": list[Run](), "fp32": list[Run]()}

    def run_ours() -> None:
        for precision, ran in runs.items():
            settings = {"precision": precision, "epochs": EPOCHS, "lr": LR, "batch-size": options.batch_size}
            ran.append(ours(split.folder, name, settings, options.threads))

    run_ours()
    theirs = copied(split.folder, name, options.threads, epochs=EPOCHS, lr=LR, batch_size=options.batch_size)
    run_ours()
    yield from split.figures()
    yield Figure("copied loop, s", theirs.seconds)
    for precision, target in (("auto", TARGET_BF16 if has_bf16() else TARGET_FP32), ("fp32", TARGET_FP32)):
        taken = Figure.of(f"ours, {precision}, s", [run.seconds for run in runs[precision]])
        yield taken
        yield Figure(f"copied loop / ours, {precision}", theirs.seconds / taken.value, at_least=target)
    best = max(phase["accuracy"] for phase in theirs.of("validation"))
    yield Figure("validation accuracy of ours", runs["auto"][0].epochs("head")[-1]["validation_accuracy"])
    yield Figure("validation accuracy of the copied loop in its best epoch", best)


def trials(split: Split, options: Options) -> Iterator[Figure]:
    """A search of 20 trials against 20 trainings of the copied loop, extrapolated from some of its steps."""
    folder, backbone, threads, batch = split.folder, options.backbone, options.threads, options.batch_size
    # The space has two batch sizes: half of what is measured is of each.
    runs = [copied(folder, backbone, threads, steps=max(2, options.steps), batch_size=batch)]
    own = ours(folder, backbone, {"search-trials": TRIALS}, threads).seconds
    runs += [copied(folder, backbone, threads, steps=max(2, options.steps // 2), batch_size=2 * batch)]
    theirs = TRIALS * extrapolated(runs, split.counts, TRIAL_EPOCHS)
    yield from split.figures()
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
            ours(split.folder, LITE, {"finetune-epochs": number}, options.threads, cache=Path(cache))
            for number in (0, options.finetune_epochs)
        )
    stage = tuned.epochs("finetune")
    yield from split.figures()
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
