"""Training steps from tensors that lie ready on the GPU: the limit of fine-tuning, for the checks of benchmarks.gpu."""

import time

import torch
from torch.nn import functional

from classifier.backbones import build_backbone
from classifier.models import Classifier, build_head
from train.loop.engine import set_learning
from train.precision import autocast

WARM = 10  # steps


def ready_model(backbone_name: str, classes: int) -> tuple[Classifier, int]:
    """Return a model as fine-tuning has it, where batch normalisation keeps its statistics, and its pixels a side."""
    backbone, features, preprocessing = build_backbone(backbone_name)
    model = Classifier(backbone, build_head(features, (), 0.0, classes), preprocessing, 1.0)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_learning(model)
    return model, preprocessing.crop


def steps_per_second(model: Classifier, crop: int, device: str, precision: str, batch: int, steps: int) -> float:
    """Return how many training steps a second a model does on pixels that stay on the device."""
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
        torch.cuda.synchronize()
