"""Part of benchmarks.train on a GPU: both stages against the same model fed from tensors that lie ready on the GPU."""

import time
from argparse import Namespace
from typing import TYPE_CHECKING

from benchmarks.machine import sample_photos
from benchmarks.runs import Measured, NotRun, Ratio, ours, selected

if TYPE_CHECKING:
    from classifier.models import Classifier

BACKBONES = ("inception_v3", "resnet50", "convnext_tiny")
BATCH, STEPS, WARM = 32, 50, 10


def measure(options: Namespace) -> Measured:
    """Measure the feature pass and one epoch of fine-tuning for each backbone; there must be a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise NotRun("no GPU is here, so no figure comes from one")
    from benchmarks.features import measure as measure_features

    paths = sample_photos(options.folder, options.features_photos)
    ratios, raw, notes = [], {}, []
    for backbone in BACKBONES:
        found = measure_features(paths, backbone=backbone, precision="auto", rounds=options.rounds)
        stage1 = found["ratios"]["best of a"]["side_by_side"]
        ratios.append(Ratio(f"gpu: {backbone}, feature pass / ready tensors", stage1))
        with selected(options.folder, photos=options.trials_photos) as split:
            run = ours(split.folder, backbone, options.threads, {"finetune-epochs": "2"})
        stage = [epoch for epoch in run["epochs"] if epoch.get("stage") == "finetune"]
        raw[backbone] = {"features": found["ratios"], "finetune": run}
        if stage and "images_per_second" in stage[-1]:
            # The second epoch: the first one holds what a GPU does only once.
            rate, ready = stage[-1]["images_per_second"], _ready_rate(backbone, split.classes)
            ratios.append(Ratio(f"gpu: {backbone}, fine-tuning / ready tensors", rate / ready))
            notes.append(f"{backbone}: fine-tuning {rate:.0f} photos/s, from ready tensors {ready:.0f}")
    return Measured(ratios, {"device": torch.cuda.get_device_name(), "batch_size": BATCH}, raw, tuple(notes))


def _ready_rate(backbone_name: str, classes: int) -> float:
    """Return photos per second of plain bf16 training steps on one batch that stays on the GPU."""
    return BATCH * steps_per_second(*ready_model(backbone_name, classes), "cuda", "bf16", BATCH, STEPS)


def ready_model(backbone_name: str, classes: int) -> "tuple[Classifier, int]":
    """Return a model as fine-tuning has it, where batch normalisation keeps its statistics, and its pixels a side."""
    import torch

    from classifier.backbones import build_backbone
    from classifier.models import Classifier, build_head
    from train.loop.engine import set_learning

    backbone, features, preprocessing = build_backbone(backbone_name)
    model = Classifier(backbone, build_head(features, (), 0.0, classes), preprocessing, 1.0)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_learning(model)
    return model, preprocessing.crop


def steps_per_second(model: "Classifier", crop: int, device: str, precision: str, batch: int, steps: int) -> float:
    """Return how many training steps a second a model does on pixels that stay on the device."""
    import torch
    from torch.nn import functional

    from train.precision import autocast

    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
    pixels = torch.randint(256, (batch, crop, crop, 3), dtype=torch.uint8, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    started, warm = 0.0, min(WARM, steps)
    for step in range(warm + steps):
        if step == warm:
            synchronise(device)
            started = time.perf_counter()
        with autocast(device, precision):
            loss = functional.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
    synchronise(device)
    return steps / (time.perf_counter() - started)


def synchronise(device: str) -> None:
    """Wait for what the device was given to do."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
