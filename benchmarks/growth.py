"""Part of benchmarks.train on growth: does a photo cost the same time among 100,000 as among 1,000, and how much memory."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import sample_photos, spread
from benchmarks.parts import Measured, NotRun, Ratio
from benchmarks.runs import ours, weights

TARGET_RATE, TARGET_BYTES, TARGET_MEMORY = 0.9, 4e9, 1.25
SOURCES = 1000  # photos that are multiplied, the same for every size, so that decoding one costs the same
CLASSES = 10
VALIDATION = 10  # one photo in ten


def measure(options: Namespace) -> Measured:
    """Train on ever more photos and compare the feature pass's photos per second and the process's largest memory."""
    sizes = sorted(int(size) for size in options.growth_sizes.split(","))
    first, last, backbone = sizes[0], sizes[-1], options.growth_backbone
    sources = sample_photos(options.folder, SOURCES) if options.folder.is_dir() else []
    if not sources:
        raise NotRun(f"{options.folder} holds no JPEG photos, so growth was not measured; name a folder of photos")
    runs: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="bench-growth-") as name:
        photos = _multiplied(sources, last, Path(name))
        # Small sizes before and after the large one: the machine's speed drifts, and a short pass says little alone.
        for size in [*sizes, *sizes[-2::-1], *sizes[:-1]]:
            with _laid_out(photos[:size]) as folder:
                runs[size].append(ours(folder, backbone, options.threads, {"epochs": "1"}))
    rates = {size: spread([size / run["steps"]["features"] for run in ran]) for size, ran in runs.items()}
    peaks = {size: max(run["peak_memory_bytes"] for run in ran) for size, ran in runs.items()}
    width = runs[first][0]["features"]
    beyond = {size: peak - 4 * width * size for size, peak in peaks.items()}
    medians = {size: rate["median"] for size, rate in rates.items()}
    slowest = min(medians.values()) / max(medians.values())
    name, memory = f"growth: memory beyond the features, {last:,} photos / {first:,}", beyond[last] / beyond[first]
    return Measured(
        ratios=[
            Ratio("growth: photos/s of the feature pass, slowest size / fastest", slowest, TARGET_RATE),
            Ratio(f"growth: largest memory at {last:,} photos, bytes", peaks[last], TARGET_BYTES, at_most=True),
            Ratio(name, memory, TARGET_MEMORY, at_most=True),
        ],
        settings={"backbone": backbone, "weights": weights(backbone), "features": width, "sources": len(sources)},
        figures={"images_per_second": rates, "peak_memory_bytes": peaks},
        notes=tuple(
            f"{size:,} photos: {medians[size]:.0f}/s in the feature pass, median of {len(runs[size])}; largest memory "
            f"{peaks[size] / 1e6:,.0f} MB, of which features {4 * width * size / 1e6:,.0f} MB"
            for size in sizes
        ),
    )


def _multiplied(sources: list[Path], count: int, base: Path) -> list[Path]:
    """Write `count` photo files below a folder, each of other content: its number follows the JPEG's end."""
    bodies = [path.read_bytes() for path in sources]
    made = [base / f"{number // 1000:03d}" / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(made):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bodies[number % len(bodies)] + number.to_bytes(8, "little"))
    os.sync()  # else the disk is still busy with them while the first size is measured
    return made


@contextmanager
def _laid_out(photos: list[Path]) -> Iterator[Path]:
    """Lay out photos as train and validation of a few classes, as hard links."""
    with TemporaryDirectory(prefix="bench-first-") as name:
        for number, path in enumerate(photos):
            split = "validation" if number % VALIDATION == 0 else "train"
            folder = Path(name) / split / f"class{number // VALIDATION % CLASSES}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / path.name).hardlink_to(path)
        yield Path(name)
