"""Parts of benchmarks.train against the copied loop: five epochs, their accuracy, and a search of 20 trials."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.machine import describe
from benchmarks.runs import LITE, Measured, Ratio, Split, baseline, extrapolated, ours, selected, weights

EPOCHS, LR = 5, 0.003
TARGET_BF16, TARGET_FP32, TARGET_TRIALS = 10, 5, 100
TRIALS, TRIAL_EPOCHS = 20, 3.5  # the original space draws 2 or 5 epochs
SEEN = ("train", "validation")  # the copied loop has no test photos


def dogs(options: Namespace) -> Measured:
    """Five epochs on the small folder at its natural sizes: both sides run whole."""
    with selected(options.small, photos=options.small_photos, splits=SEEN) as split:
        before = _both_precisions(split, options)
        copied = baseline(
            split.folder, options.backbone, options.threads, epochs=EPOCHS, lr=LR, batch_size=options.batch_size
        )
        after = _both_precisions(split, options)
    times = {"auto": [before["auto"], after["auto"]], "fp32": [before["fp32"], after["fp32"]]}
    seconds = {"seconds": copied["seconds"], "measured_steps": "all"}
    return _five_epochs("dogs", split, options, times, seconds, [copied])


def breeds(options: Namespace) -> Measured:
    """Five epochs on part of the larger folder: ours whole, the copied loop by steps before and after."""
    with selected(options.folder, photos=options.photos, splits=SEEN) as split:
        runs = [_copied_steps(split, options)]
        ran = _both_precisions(split, options)
        runs.append(_copied_steps(split, options))
    seconds = extrapolated(runs, split.counts, EPOCHS)
    return _five_epochs("breeds", split, options, {name: [run] for name, run in ran.items()}, seconds, runs)


def accuracy(options: Namespace) -> Measured:
    """Real weights, real training: accuracy on validation photos after the same five epochs, and the time."""
    with selected(options.folder, classes=options.classes, splits=SEEN) as split:
        first = ours(split.folder, LITE, options.threads, _same(options))
        copied = baseline(split.folder, LITE, options.threads, epochs=EPOCHS, lr=LR, batch_size=options.batch_size)
        second = ours(split.folder, LITE, options.threads, _same(options))
    reached = [phase["accuracy"] for phase in copied["phases"] if phase["phase"] == "validation"]
    own = [epoch["validation_accuracy"] for epoch in first["epochs"]]
    ratio = copied["seconds"] / mean([first["seconds"], second["seconds"]])
    settings = _settings(split, options, LITE) | {"epochs": EPOCHS}
    raw = {"ours": [first, second], "baseline": copied, "accuracy": {"ours": own, "baseline": reached}}
    return Measured(
        [
            Ratio(f"accuracy: validation after epoch {EPOCHS}, ours minus baseline", own[-1] - reached[-1], 0),
            Ratio("accuracy: validation after the best epoch, ours minus baseline", max(own) - max(reached), 0),
            Ratio("accuracy: baseline seconds / ours", ratio),
        ],
        settings,
        raw,
        (
            f"validation accuracy after {EPOCHS} epochs on {split.counts['validation']} photos of {split.classes} classes: "
            f"ours {own[-1]:.4f} (best epoch {max(own):.4f}), baseline {reached[-1]:.4f} (best epoch {max(reached):.4f})",
            _seconds_note(copied, {"auto": [first, second]}),
        ),
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
    seconds = one | {"seconds": TRIALS * one["seconds"]}
    target = float(TARGET_TRIALS)
    return Measured(
        [
            Ratio(
                f"trials {name}: {TRIALS} baseline trainings / ours, seconds",
                seconds["seconds"] / ran["seconds"],
                target,
            )
        ],
        _settings(split, options, options.backbone) | {"trials": TRIALS, "epochs_of_a_trial": TRIAL_EPOCHS},
        {"ours": ran, "baseline": seconds, "baseline_runs": runs},
        (_random_note(options.backbone) + _seconds_note(seconds, {"auto": [ran]}),),
    )


def _both_precisions(split: Split, options: Namespace) -> dict[str, dict[str, Any]]:
    """Run ours with precision auto and with fp32, each with an empty feature cache."""
    return {
        precision: ours(split.folder, options.backbone, options.threads, _same(options) | {"precision": precision})
        for precision in ("auto", "fp32")
    }


def _same(options: Namespace) -> dict[str, str]:
    return {"epochs": str(EPOCHS), "lr": str(LR), "batch-size": str(options.batch_size)}


def _copied_steps(split: Split, options: Namespace, factor: int = 1) -> dict[str, Any]:
    return baseline(
        split.folder,
        options.backbone,
        options.threads,
        batch_size=options.batch_size * factor,
        steps=max(2, options.steps // factor),
    )


def _five_epochs(
    name: str,
    split: Split,
    options: Namespace,
    times: Mapping[str, list[dict[str, Any]]],
    seconds: dict[str, Any],
    runs: list[dict[str, Any]],
) -> Measured:
    fast = bool({"amx_bf16", "avx512_bf16"} & set(describe()["flags"]))
    targets = {"auto": TARGET_BF16 if fast else TARGET_FP32, "fp32": TARGET_FP32}
    ratios = [
        Ratio(
            f"epochs {name}: baseline / ours, seconds, {precision}",
            seconds["seconds"] / mean(run["seconds"] for run in ran),
            targets[precision],
        )
        for precision, ran in times.items()
    ]
    return Measured(
        ratios,
        _settings(split, options, options.backbone) | {"epochs": EPOCHS, "auto_is": "bf16" if fast else "fp32"},
        {"ours": dict(times), "baseline": seconds, "baseline_runs": runs},
        (_random_note(options.backbone) + _seconds_note(seconds, times),),
    )


def _settings(split: Split, options: Namespace, backbone: str) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "weights": weights(backbone),
        "photos": split.counts,
        "classes": split.classes,
        "threads": options.threads,
        "lr": LR,
        "batch_size": options.batch_size,
    }


def _random_note(backbone: str) -> str:
    if weights(backbone) == "pretrained":
        return ""
    return f"weights of {backbone} are random on both sides, since they cannot be downloaded here; "


def _seconds_note(seconds: Mapping[str, Any], times: Mapping[str, list[dict[str, Any]]]) -> str:
    own = "; ".join(
        f"ours {precision} " + ", ".join(f"{run['seconds']:.1f}" for run in ran) + " s"
        for precision, ran in times.items()
    )
    steps = seconds.get("measured_steps", "all")
    if steps == "all":
        return f"{own}; baseline {seconds['seconds']:.1f} s, run whole"
    rates = ", ".join(f"{name} {rate:.1f} photos/s" for name, rate in seconds["images_per_second"].items())
    return (
        f"{own}; baseline {seconds['seconds']:.0f} s, extrapolated from {steps} measured steps, "
        f"{seconds['measured_photos']} photos ({rates})"
    )
