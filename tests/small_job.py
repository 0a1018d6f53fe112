"""A job in this process, with a tiny backbone and random weights."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from classifier.photos import load_photo_set
from train.config import parse
from train.contract import read_job
from train.job import run
from train.processes.world import World

SMALL = {"backbone": "timm/test_efficientnet", "weights": "random", "precision": "fp32", "epochs": "1", "lr": "1e-7"}
SMALL |= {"batch-size": "4", "finetune-batch-size": "4"}


def job(base: Path, photos: Path, **hyperparameters: str) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Run a job over a folder of photos and return its model's tensors and its records."""
    (base / "input" / "data").mkdir(parents=True)
    (base / "input" / "data" / "training").symlink_to(photos)
    (base / "checkpoints").mkdir(exist_ok=True)
    config = parse(SMALL | hyperparameters)
    threads = torch.get_num_threads()
    found = load_photo_set({"training": photos}, validation_share=config.validation_share, seed=config.seed)
    try:
        run(read_job(base), config, found, None, World(), time.perf_counter())
    finally:
        torch.set_num_threads(threads)
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    return load_file(base / "model" / "model.safetensors"), [json.loads(line) for line in lines]
