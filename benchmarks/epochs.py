"""Parts of benchmarks.train on whole jobs: five epochs and a search against the copied loop, and what fine-tuning adds."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import has_bf16
from benchmarks.parts import Measured, NotRun, Ratio
from benchmarks.runs import LITE, Split, baseline, extrapolated, ours, selected, weights

EPOCHS, LR = 5, 0.003
TARGET_BF16, TARGET_FP32, TARGET_TRIALS, TARGET_WAIT = 10, 5, 100, 0.1
TRIALS, TRIAL_EPOCHS = 20, 3.5  # the original space draws 2 or 5 epochs
SEEN = ("train", "validation")  # the copied loop has no test photos


def dogs(options: Namespace) -> Measured:
    """Five epochs on the small folder at its natural sizes: both sides run whole."""
    with selected(options.small, photos=options.small_photos, splits=SEEN) as split:
        before = _both_precisions(split, options)
        copied = _copied(split, options, options.backbone)
        after = _both_precisions(split, options)
    fast = has_bf16()
    times = {precision: [before[precision], after[precision]] for precision in before}
    targets = {"auto": TARGET_BF16 if fast else TARGET_FP32, "fp32": TARGET_FP32}
    ratios = []
    for precision, ran in times.items():
        ratio = copied["seconds"] / mean(run["seconds"] for run in ran)
        ratios.append(Ratio(f"epochs dogs: baseline / ours, seconds, {precision}", ratio, targets[precision]))
    settings = _settings(split, options, options.backbone) | {"auto_is": "bf16" if fast else "fp32"}
    notes = (_seconds_note(copied, times),)
    return Measured(ratios, settings, {"ours": times, "baseline": copied}, notes=notes)


def accuracy(options: Namespace) -> Measured:
    """Real weights, real training: accuracy on validation photos after the same five epochs, and the time."""
    with selected(options.folder, classes=options.classes, splits=SEEN) as split:
        first = ours(split.folder, LITE, options.threads, _same(options))
        copied = _copied(split, options, LITE)
        second = ours(split.folder, LITE, options.threads, _same(options))
    reached, own = copied["validation"]["accuracy"], first["validation_accuracy"]
    ratios = [
        Ratio(f"accuracy: validation after epoch {EPOCHS}, ours minus baseline", own[-1] - reached[-1], 0),
        Ratio("accuracy: validation after the best epoch, ours minus baseline", max(own) - max(reached), 0),
        Ratio("accuracy: baseline seconds / ours", copied["seconds"] / mean([first["seconds"], second["seconds"]])),
    ]
    note = (
        f"validation accuracy after {EPOCHS} epochs on {split.counts['validation']} photos of {split.classes} classes: "
        f"ours {own[-1]:.4f} (best epoch {max(own):.4f}), baseline {reached[-1]:.4f} (best epoch {max(reached):.4f})"
    )
    figures = {"ours": [first, second], "baseline": copied}
    return Measured(
        ratios,
        _settings(split, options, LITE),
        figures,
        notes=(note, _seconds_note(copied, {"auto": [first, second]})),
    )


def trials_dogs(options: Namespace) -> Measured:
    """A search of 20 trials on the small folder against 20 trainings of the copied loop."""
    return _trials("dogs", options.small, options.small_photos, options)


def trials_breeds(options: Namespace) -> Measured:
    """The same on part of the larger folder."""
    return _trials("breeds", options.folder, options.trials_photos, options)


def _trials(name: str, folder: Path, photos: int | None, options: Namespace) -> Measured:
    with selected(folder, photos=photos, splits=SEEN) as split:
        runs = [_copied_steps(split, options)]
        ran = ours(split.folder, options.backbone, options.threads, {"search-trials": str(TRIALS)})
        # The space has two batch sizes: half of what is measured is of each.
        runs.append(_copied_steps(split, options, factor=2))
    one = extrapolated(runs, split.counts, TRIAL_EPOCHS)
    copied = one | {"seconds": TRIALS * one["seconds"]}
    name = f"trials {name}: {TRIALS} baseline trainings / ours, seconds"
    return Measured(
        [Ratio(name, copied["seconds"] / ran["seconds"], TARGET_TRIALS)],
        _settings(split, options, options.backbone) | {"trials": TRIALS, "epochs": TRIAL_EPOCHS},
        {"ours": ran, "baseline": copied},
        notes=(_seconds_note(copied, {"auto": [ran]}),),
    )


def finetune(options: Namespace) -> Measured:
    """How long fine-tuning waits for photos, and what it adds to the frozen head on the test photos."""
    with (
        TemporaryDirectory(prefix="bench-cache-") as cache,
        selected(options.folder, classes=options.finetune_classes) as split,
    ):
        if "test" not in split.counts:
            raise NotRun(f"{options.folder} holds no test photos, so fine-tuning was not measured; add a folder test")
        # The frozen run leaves its features in the cache, so that the other's seconds are those of fine-tuning alone.
        frozen, tuned = (
            ours(split.folder, LITE, options.threads, {"finetune-epochs": str(epochs)}, Path(cache))
            for epochs in (0, options.finetune_epochs)
        )
    stage = tuned["finetuning"]
    pair = {"frozen head": frozen["results"]["test"], "fine-tuned": tuned["results"]["test"]}
    gain = pair["fine-tuned"]["accuracy"] - pair["frozen head"]["accuracy"]
    seconds = sum(epoch["epoch_seconds"] for epoch in stage)
    wait = mean(epoch["data_wait_share"] for epoch in stage)
    accuracies = ", ".join(
        f"{name} {found['accuracy']:.4f} ({found['accuracy_interval'][0]:.4f} to {found['accuracy_interval'][1]:.4f})"
        for name, found in pair.items()
    )
    rate = mean(epoch["images_per_second"] for epoch in stage)
    return Measured(
        [
            Ratio("finetune: share of waiting for data", wait, TARGET_WAIT, at_most=True),
            Ratio("finetune: test accuracy, fine-tuned minus frozen head", gain, 0),
            Ratio("finetune: seconds, whole run with it / without", (frozen["seconds"] + seconds) / frozen["seconds"]),
        ],
        _settings(split, options, LITE) | {"epochs": options.finetune_epochs},
        {"frozen": frozen, "finetuned": tuned, "seconds": seconds, "images_per_second": rate},
        notes=(
            f"test accuracy on {pair['fine-tuned']['count']} photos of {split.classes} classes: {accuracies}",
            f"{len(stage)} epochs of fine-tuning took {seconds:.0f} s at {rate:.1f} photos/s; "
            f"the run without it took {frozen['seconds']:.0f} s",
        ),
    )


def _same(options: Namespace) -> dict[str, str]:
    return {"epochs": str(EPOCHS), "lr": str(LR), "batch-size": str(options.batch_size)}


def _both_precisions(split: Split, options: Namespace) -> dict[str, dict[str, Any]]:
    """Run ours with precision auto and with fp32, each with an empty feature cache."""
    return {
        precision: ours(split.folder, options.backbone, options.threads, _same(options) | {"precision": precision})
        for precision in ("auto", "fp32")
    }


def _copied(split: Split, options: Namespace, backbone: str) -> dict[str, Any]:
    return baseline(split.folder, backbone, options.threads, epochs=EPOCHS, lr=LR, batch_size=options.batch_size)


def _copied_steps(split: Split, options: Namespace, factor: int = 1) -> dict[str, Any]:
    steps, batch = max(2, options.steps // factor), options.batch_size * factor
    return baseline(split.folder, options.backbone, options.threads, steps=steps, batch_size=batch)


def _settings(split: Split, options: Namespace, backbone: str) -> dict[str, Any]:
    photos = {"photos": split.counts, "classes": split.classes, "threads": options.threads}
    recipe = {"epochs": EPOCHS, "lr": LR, "batch_size": options.batch_size}
    return {"backbone": backbone, "weights": weights(backbone)} | photos | recipe


def _seconds_note(copied: Mapping[str, Any], times: Mapping[str, list[dict[str, Any]]]) -> str:
    own = [
        f"ours {precision} " + ", ".join(f"{run['seconds']:.1f}" for run in ran) + " s"
        for precision, ran in times.items()
    ]
    if "measured_steps" not in copied:
        return f"{'; '.join(own)}; baseline {copied['seconds']:.1f} s, run whole"
    rates = ", ".join(f"{name} {rate:.1f} photos/s" for name, rate in copied["images_per_second"].items())
    return (
        f"{'; '.join(own)}; baseline {copied['seconds']:.0f} s, extrapolated from {copied['measured_steps']} measured "
        f"steps, {copied['measured_photos']} photos ({rates})"
    )
