"""Parts of benchmarks.train that run whole jobs: beside the copied loop, with fine-tuning, and with ever more photos."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.machine import LITE, NotRun, has_bf16, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import Split, selected
from benchmarks.runs import Run, copied, extrapolated, ours
from launch.training import result

EPOCHS, LR = 5, 0.003
TRIALS, TRIAL_EPOCHS = 20, 3.5  # the original space draws 2 or 5 epochs
SOURCES = 1000  # photos that growth copies; the same for every size, so that they take equally long to decode
CLASSES, VALIDATION = 10, 10  # of growth: the number of classes; one photo in VALIDATION is for validation


def epochs(split: Split, options: Options, backbone: str | None = None) -> Iterator[Figure]:
    """Compare time and accuracy of five epochs of ours and of the copied loop. Ours runs before and after it."""
    name, batch = backbone or options.backbone, options.batch_size
    runs: dict[str, list[Run]] = {"auto": [], "fp32": []}

    def run_ours() -> None:
        for precision, ran in runs.items():
            settings = {"precision": precision, "epochs": EPOCHS, "lr": LR, "batch-size": batch}
            ran.append(ours(split.folder, name, settings, options.threads))

    run_ours()
    theirs = copied(split.folder, name, options.threads, epochs=EPOCHS, lr=LR, batch_size=batch)
    run_ours()
    yield from split.figures()
    yield Figure("copied loop, s", theirs.seconds)
    for precision, ran in runs.items():
        taken = Figure.of(f"ours, {precision}, s", [run.seconds for run in ran])
        target = 10 if precision == "auto" and has_bf16() else 5
        yield taken
        yield Figure(f"copied loop / ours, {precision}", theirs.seconds / taken.value, at_least=target)
    best = max(phase["accuracy"] for phase in theirs.phases if phase["phase"] == "validation")
    yield Figure("validation accuracy of ours", runs["auto"][0].epochs("head")[-1]["validation_accuracy"])
    yield Figure("validation accuracy of the copied loop in its best epoch", best)


def trials(split: Split, options: Options) -> Iterator[Figure]:
    """Compare a search of 20 trials with 20 runs of the copied loop. The time of these is extrapolated from a few measured steps."""
    common, batch = (split.folder, options.backbone), options.batch_size
    # The search space has two batch sizes, so half of the measured photos pass in batches of each size.
    runs = [copied(*common, options.threads, steps=max(2, options.steps), batch_size=batch)]
    own = ours(*common, {"search-trials": TRIALS}, options.threads).seconds
    runs += [copied(*common, options.threads, steps=max(2, options.steps // 2), batch_size=2 * batch)]
    theirs = TRIALS * extrapolated(runs, split.counts, TRIAL_EPOCHS)
    yield from split.figures()
    yield Figure(f"{TRIALS} copied loops, s", theirs)
    yield Figure("of which measured, steps", sum(len(phase["step_photos"]) for run in runs for phase in run.phases))
    yield Figure(f"{TRIALS} trials of ours, s", own)
    yield Figure("copied loops / ours", theirs / own, at_least=100)


def finetune(options: Options) -> Iterator[Figure]:
    """Measure how fast fine-tuning is, how long it waits for photos, and how much it raises the accuracy of the frozen head."""
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
    yield Figure("share of its time that fine-tuning waits for photos", wait, at_most=0.1)
    for name, run in (("of the frozen head", frozen), ("after fine-tuning", tuned)):
        for part in ("validation", "test"):
            found = result(run.records, part)
            low, high = found["accuracy_interval"]
            yield Figure(f"{part} accuracy {name}", found["accuracy"], low=low, high=high)


def growth(options: Options) -> Iterator[Figure]:
    """Train on ever more photos and compare the feature pass's photos per second and the process's largest memory."""
    sizes = sorted(int(size) for size in options.growth_sizes.split(","))
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="bench-growth-") as name:
        photos = Path(name) / "photos"
        _multiply(sample_photos(options.folder, SOURCES), sizes[-1], photos)
        # Smaller sizes run before and after the largest, because the machine's speed drifts and a short pass alone says little.
        for number, size in enumerate([*sizes, *sizes[-2::-1], *sizes[:-1]]):
            job = Path(name) / f"job-{number}"
            with selected(photos, photos=size) as split:
                run = ours(split.folder, options.growth_backbone, {"epochs": 1}, options.threads, base=job)
            runs[size].append(run)
        width = json.loads((job / "model" / "model.json").read_text())["model"]["features"]
    rates, beyond = [], []
    for size, ran in runs.items():
        done = [run.record("done") for run in ran]
        rate = Figure.of(f"{size:,} photos: photos/s", [size / each["seconds"]["features"] for each in done])
        memory, features = max(each["peak_memory_bytes"] for each in done), 4 * size * width
        rates.append(rate.value)
        beyond.append(memory - features)
        yield rate
        yield Figure(f"{size:,} photos: memory, MB", memory / 1e6, at_most=4000)
        yield Figure(f"{size:,} photos: of which features, MB", features / 1e6)
    yield Figure("photos/s, slowest size / fastest", min(rates) / max(rates), at_least=0.9)
    yield Figure("memory beyond the features, largest size / smallest", beyond[-1] / beyond[0], at_most=1.25)


def _multiply(sources: list[Path], count: int, folder: Path) -> None:
    """Write `count` photos of a few classes. Each file differs, because its number is appended to the JPEG data."""
    bodies = [path.read_bytes() for path in sources]
    for number in range(count):
        split = "validation" if number % VALIDATION == 0 else "train"
        path = folder / split / f"class{number // VALIDATION % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[number % len(bodies)] + number.to_bytes(8, "little"))
    os.sync()  # else the disk is still busy with them while the first size is measured
