"""Part of benchmarks.train on a GPU: both stages against the same model fed from tensors that lie ready on the GPU."""

import time
from argparse import Namespace

from benchmarks.machine import sample_photos
from benchmarks.runs import Measured, NotRun, Ratio, ours, selected

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
    import torch
    from torch import nn

    from classifier.backbones import build_backbone

    backbone, features, preprocessing = build_backbone(backbone_name)
    model = nn.Sequential(backbone, nn.Linear(features, classes)).cuda().train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    images = torch.randn(BATCH, 3, preprocessing.crop, preprocessing.crop, device="cuda")
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (BATCH,), device="cuda")
    started = 0.0
    for step in range(WARM + STEPS):
        if step == WARM:
            torch.cuda.synchronize()
            started = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.cuda.synchronize()
    return BATCH * STEPS / (time.perf_counter() - started)
