"""What draft decoding of JPEG saves and what it changes, at several values of draft_margin.

    python -m benchmarks.decode [FOLDER] [--photos N] [--timed N]

Times are milliseconds a photo of one thread: the best of REPEATS, and their median over photos. What drafting changes is
the best class of efficientnet-lite0 with its own 1,000 classes at fp32, for photos of 12 megapixels.
"""

import argparse
import io
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import artifacts
from benchmarks.machine import describe, sample_photos, summary, write_results
from classifier import selftest
from classifier.backbones import build_backbone
from classifier.images import load_pixels

BACKBONES = ("inception_v3", "timm/tf_efficientnet_lite0")
SIZES = {"natural": 0.0, "12 megapixels": 12e6}
MARGINS = (1.0, 1.5, 2.0)
REPEATS = 3


def main() -> int:
    """Measure, print the table and write results/decode.json."""
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
    times = [_time(paths[: options.timed], backbone, size) for backbone in BACKBONES for size in SIZES]
    settings = {"photos": len(paths), "timed": options.timed, "repeats": REPEATS}
    write_results("decode", {"machine": machine, "settings": settings, "times": times, "accuracy": _judge(paths)})
    return 0


def _time(paths: list[Path], backbone: str, size: str) -> dict[str, Any]:
    """Return the milliseconds a photo at full size and by draft for each margin, measured one after the other."""
    preprocessing, taken = build_backbone(backbone)[2], []
    for path in paths:
        data, best = _encoded(path, SIZES[size]), [float("inf")] * (1 + len(MARGINS))
        for _ in range(REPEATS):
            for number, margin in enumerate((None, *MARGINS)):
                chosen = replace(preprocessing, draft_margin=margin or 1.0)
                start = time.perf_counter()
                load_pixels(data, chosen, draft=margin is not None)
                best[number] = min(best[number], 1000 * (time.perf_counter() - start))
        taken.append(best)
    full, *drafts = [median(each) for each in zip(*taken, strict=True)]
    draft = dict(zip(map(str, MARGINS), drafts, strict=True))
    ratios = {margin: full / each for margin, each in draft.items()}
    shown = ", ".join(f"margin {margin} {each:.2f} ms ({ratios[margin]:.1f}x)" for margin, each in draft.items())
    print(f"{backbone}, {size}: full size {full:.2f} ms, {shown}")
    return {"size": size, "backbone": backbone, "full_ms": full, "draft_ms": draft, "ratios": ratios}


def _judge(paths: list[Path]) -> list[dict[str, Any]]:
    """Return for each margin how many best classes stay, and how far the probabilities move."""
    model, spec = artifacts.imagenet_model()
    photos = [_encoded(path, SIZES["12 megapixels"]) for path in paths]

    def probabilities(margin: float | None) -> np.ndarray[Any, Any]:
        chosen = replace(spec.preprocessing, draft_margin=margin or 1.0)
        pixels = [load_pixels(data, chosen, draft=margin is not None) for data in photos]
        return selftest.probabilities(model, torch.from_numpy(np.stack(pixels))).numpy()

    full, rows = probabilities(None), []
    for margin in MARGINS:
        drafted = probabilities(margin)
        moved, agreement = np.abs(drafted - full).max(1), float((drafted.argmax(1) == full.argmax(1)).mean())
        rows.append({"margin": margin, "agreement": agreement, "probability_max": float(moved.max())})
        rows[-1]["probability_mean"] = float(moved.mean())
        print(", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
    return rows


def _encoded(path: Path, pixels: float) -> bytes:
    """Return a photo as a file of so many pixels, or as it is for 0."""
    if not pixels:
        return path.read_bytes()
    with Image.open(path) as image:
        scale = (pixels / (image.width * image.height)) ** 0.5
        # Rounded up, so that no size falls just short of what drafting needs.
        size = (-int(-image.width * scale // 1), -int(-image.height * scale // 1))
        stream = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
