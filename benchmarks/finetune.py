"""Part of benchmarks.train on fine-tuning: how long it waits for photos, and what it adds to the frozen head."""

from argparse import Namespace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.runs import LITE, Measured, NotRun, Ratio, ours, selected

TARGET_WAIT = 0.1


def measure(options: Namespace) -> Measured:
    """Train the same photos with and without fine-tuning and compare them on the test photos."""
    with (
        TemporaryDirectory(prefix="bench-cache-") as cache,
        selected(options.folder, classes=options.finetune_classes) as split,
    ):
        if "test" not in split.counts:
            raise NotRun(f"{options.folder} holds no test photos, so fine-tuning was not measured; add a folder test")
        # The frozen run leaves its features in the cache, so that the other's seconds are those of fine-tuning alone.
        frozen = ours(split.folder, LITE, options.threads, {"finetune-epochs": "0"}, Path(cache))
        tuned = ours(
            split.folder, LITE, options.threads, {"finetune-epochs": str(options.finetune_epochs)}, Path(cache)
        )
    stage = [epoch for epoch in tuned["epochs"] if epoch.get("stage") == "finetune"]
    if not stage:
        raise NotRun("the training program wrote no epoch of stage finetune, so fine-tuning was not measured")
    lacking = [key for key in ("data_wait_share", "images_per_second") if key not in stage[0]]
    if lacking:
        raise NotRun(f"epochs of stage finetune lack {' and '.join(lacking)}, so fine-tuning was not measured")
    pair = {name: run["results"]["test"] for name, run in (("frozen head", frozen), ("fine-tuned", tuned))}
    gain = pair["fine-tuned"]["accuracy"] - pair["frozen head"]["accuracy"]
    seconds = sum(epoch["epoch_seconds"] for epoch in stage)
    rate = mean(epoch["images_per_second"] for epoch in stage)
    accuracies = ", ".join(
        f"{name} {result['accuracy']:.4f} ({result['accuracy_interval'][0]:.4f} to {result['accuracy_interval'][1]:.4f})"
        for name, result in pair.items()
    )
    return Measured(
        [
            Ratio(
                "finetune: share of waiting for data",
                mean(epoch["data_wait_share"] for epoch in stage),
                TARGET_WAIT,
                at_most=True,
            ),
            Ratio("finetune: test accuracy, fine-tuned minus frozen head", gain, 0),
            Ratio("finetune: seconds, whole run with it / without", (frozen["seconds"] + seconds) / frozen["seconds"]),
        ],
        {
            "backbone": LITE,
            "weights": "pretrained",
            "photos": split.counts,
            "classes": split.classes,
            "epochs": options.finetune_epochs,
            "threads": options.threads,
        },
        {"frozen": frozen, "finetuned": tuned, "test": pair, "seconds": seconds, "images_per_second": rate},
        (
            f"test accuracy on {pair['fine-tuned']['count']} photos of {split.classes} classes: {accuracies}",
            f"{len(stage)} epochs of fine-tuning took {seconds:.0f} s at {rate:.1f} photos/s; the run without it took "
            f"{frozen['seconds']:.0f} s",
        ),
    )
