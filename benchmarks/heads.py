"""Part of benchmarks.train: trains the head on the same features by adam, by a search for adam's hyperparameters, and by lbfgs."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.features import without_head
from benchmarks.machine import LITE
from benchmarks.parts import Figure, Options
from classifier.models import build_head
from classifier.photos import load_photo_set
from train.calibrate import fit_temperature
from train.config import LBFGS, TUNING_RANGES, Config
from train.evaluation import judge
from train.features import FeaturePass, Features
from train.head.optimum import optimum
from train.head.search import search
from train.head.stage import head_stage, predict
from train.loop.engine import fit
from train.precision import resolve_precision
from train.processes.world import World
from train.report import Records

# Way -> configuration and number of seeds. lbfgs needs one seed: the validation split is given, so every seed leads to the same optimum.
WAYS = {"adam": (Config(), 3), "20 trials": (Config(search_trials=20), 3), LBFGS: (Config(optimizer=LBFGS), 1)}


def measure(options: Options) -> Iterator[Figure]:
    """Measure accuracy and loss on the test photos for several seeds, calibrated as in a job, and the processor time in seconds."""
    torch.set_num_threads(1)  # the waiting of threads for one another would count as processor time
    feature_pass = FeaturePass(model=without_head(LITE), precision=resolve_precision("auto"))
    for folder, few in ((options.folder, 0), (options.folder, 5), (options.small, 0), (options.samples, 0)):
        photos = load_photo_set({"training": folder}, validation_share=0.1, seed=0)
        splits, _ = feature_pass.extract(photos, cache=Path(options.cache))
        train, (name, test) = splits["train"], (folder.name, splits["test"])
        if few:
            name += f", {few} a class"
            rows = torch.cat([(train.labels == label).nonzero()[:few, 0] for label in range(len(photos.classes))])
            features, labels, order = train.features[rows], train.labels[rows], torch.arange(len(rows))
            splits["train"] = dataclasses.replace(train, features=features, labels=labels, rows=order)
        for way, (config, seeds) in WAYS.items():
            started, found = time.process_time(), []
            for seed in range(seeds):
                head, temperature = _trained(splits, dataclasses.replace(config, seed=seed), len(photos.classes))
                found.append(judge(predict(head, test, World()) / temperature, test.labels))
            yield Figure.of(f"{name}, {way}: accuracy", [one.accuracy for one in found])
            yield Figure.of(f"{name}, {way}: loss", [one.loss for one in found])
            yield Figure(f"{name}, {way}: processor s", (time.process_time() - started) / seeds)


def _trained(splits: dict[str, Features], config: Config, classes: int) -> tuple[torch.nn.Module, float]:
    """Return a trained head and its calibration temperature."""
    torch.manual_seed(config.seed)
    head = build_head(splits["train"].features.shape[1], (), 0.0, classes)
    records, validation = Records(None), splits["validation"]
    stage = head_stage(head, splits["train"], validation, config, World())
    if config.search_trials:
        search(head, splits, config, list(TUNING_RANGES), records, World())
    elif config.optimizer == LBFGS:
        optimum(stage, splits["train"], config, records)
    else:
        fit(stage, lambda epoch, metrics: None)
    return head, fit_temperature(predict(head, validation, World()), validation.labels)[0]
