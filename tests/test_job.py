"""The job in this process: what its two stages train on, and what its seed decides."""

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
from train.world import World

SMALL = {"backbone": "timm/test_efficientnet", "weights": "random", "precision": "fp32", "epochs": "1", "lr": "1e-7"}
SMALL |= {"batch-size": "4", "finetune-batch-size": "4"}


def job(base: Path, photos: Path, **hyperparameters: str) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Run a job over a folder of photos and return its model's tensors and its records."""
    (base / "input" / "data").mkdir(parents=True)
    (base / "input" / "data" / "training").symlink_to(photos)
    config = parse(SMALL | hyperparameters)
    threads = torch.get_num_threads()
    found = load_photo_set({"training": photos}, validation_share=config.validation_share, seed=config.seed)
    try:
        run(read_job(base), config, found, None, World(), time.perf_counter())
    finally:
        torch.set_num_threads(threads)
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    return load_file(base / "model" / "model.safetensors"), [json.loads(line) for line in lines]


def test_the_head_learns_from_the_views_too_and_fine_tuning_from_each_photo_once(tiny: Path, tmp_path: Path) -> None:
    _, records = job(tmp_path, tiny, views="2", **{"finetune-epochs": "2"})
    epochs = [(record["stage"], len(record["step_losses"])) for record in records if record["kind"] == "epoch"]
    # 4 of 8 photos in each step, and of their 16 views.
    assert epochs == [("head", 6), ("finetune", 2), ("finetune", 2)]


def test_the_seed_decides_the_first_weights(tiny: Path, tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate("001"):
        torch.rand(number)  # what was drawn before does not count
        runs.append(job(tmp_path / str(number), tiny, seed=seed)[0])
    first, again, other = runs
    for name in ("backbone.conv_stem.weight", "head.0.weight"):
        torch.testing.assert_close(again[name], first[name], atol=1e-5, rtol=0)
        assert float((other[name] - first[name]).abs().max()) > 0.01, name
