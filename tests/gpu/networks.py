"""The checks of a GPU that compare: networks fed from files with the same networks fed from memory, and the GPU's decoder with ours."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.features import extract
from benchmarks.jobs import ours
from benchmarks.machine import seconds
from classifier.errors import UserError
from tests.gpu import MEASURED, WRONG
from tests.gpu.checks import Line, Setting, ready_model, step_rate, synchronise
from tests.gpu.program import make_photos
from train.features import FeaturePass
from train.features.collector import BATCH
from train.features.lanes import forward
from train.precision import resolve_precision

NETWORKS = ("inception_v3", "resnet50", "convnext_tiny")


def networks(setting: Setting) -> Iterator[Line]:
    """Measure the feature pass and fine-tuning of each network, and the same networks on pixels that are in memory."""
    precision = resolve_precision("auto")
    with TemporaryDirectory() as name:
        photos = make_photos(Path(name) / "photos", 8 if setting.quick else 100)
        paths = sorted(photos.rglob("*.jpg"))
        for backbone in [setting.backbone] if setting.quick else NETWORKS:
            own = replace(setting, backbone=backbone)
            model = ready_model(backbone, 3)[0].eval().to(setting.device)
            feature_pass = FeaturePass(model=model, precision=precision)
            taken = [seconds(extract, feature_pass, paths) for _ in range(2)][-1]  # the first one warms up
            yield _line(
                f"{backbone}, {precision}: feature pass", len(paths) / taken, _forward_rate(own, model, precision)
            )
            del model, feature_pass
            given = {"epochs": 1, "finetune-epochs": 2, "finetune-batch-size": setting.batch}
            try:
                last = ours(photos, backbone, given, base=Path(name) / backbone).epochs("finetune")[-1]
            except UserError as error:
                yield f"{backbone}: a job", str(error)[:150], WRONG
                continue
            yield _line(
                f"{backbone}, {precision}: fine-tuning", last["images_per_second"], step_rate(own, precision)[0]
            )


def decoding(setting: Setting) -> Iterator[Line]:
    """Decode photos by torchvision (on a GPU by nvJPEG) and by Pillow: photos a second, and how far the pixels differ."""
    with TemporaryDirectory() as name:
        photos = make_photos(Path(name), 8 if setting.quick else 60)
        files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))][: 8 if setting.quick else 200]
    tensors: list[Any] = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
    read = partial(decode_jpeg, tensors, ImageReadMode.RGB, setting.device)
    try:
        decoded = read()  # also warms up
    except RuntimeError as error:
        yield f"decoding by torchvision on {setting.device}", "", f"not run: {str(error).splitlines()[0][:150]}"
        return

    def again() -> None:
        read()
        synchronise(setting.device)

    rate = len(files) / seconds(again)
    expected = [np.asarray(Image.open(BytesIO(file)).convert("RGB")) for file in files]
    off = [
        np.abs(one.permute(1, 2, 0).cpu().numpy().astype(int) - right)
        for one, right in zip(decoded, expected, strict=True)
    ]
    equal = sum(not one.any() for one in off)
    figure = f"{rate:.0f} photos/s; {equal} of {len(files)} equal Pillow's, else up to {max(one.max() for one in off)} of 255 off"
    yield f"decoding by torchvision on {setting.device}", figure, MEASURED


def _line(what: str, rate: float, limit: float) -> Line:
    return what, f"{rate:.0f} photos/s, {rate / limit:.2f} of the {limit:.0f} from memory", MEASURED


def _forward_rate(setting: Setting, model: Any, precision: str) -> float:
    """Return how many photos a second the forward pass takes from memory, in the batches of the feature pass."""
    batch, crop = BATCH[setting.device] or setting.batch, model.preprocessing.crop
    pixels = torch.randint(256, (batch, crop, crop, 3), dtype=torch.uint8, device=setting.device)

    def run(count: int) -> None:
        for _ in range(count):
            forward(model, pixels, precision)
        synchronise(setting.device)

    run(3)
    return batch * setting.repeats / seconds(run, setting.repeats)
