"""Part of benchmarks.train on growth: does a photo cost the same time among 100,000 as among 1,000, and how much memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import selected
from benchmarks.runs import Run, ours

TARGET_RATE, TARGET_MB, TARGET_MEMORY = 0.9, 4000, 1.25
SOURCES = 1000  # photos that are multiplied, the same for every size, so that decoding one costs the same
CLASSES = 10
VALIDATION = 10  # one photo in ten


def measure(options: Options) -> Iterator[Figure]:
    """Train on ever more photos and compare the feature pass's photos per second and the process's largest memory."""
    sizes = sorted(int(size) for size in options.growth_sizes.split(","))
    sources = sample_photos(options.folder, SOURCES)
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="bench-growth-") as name:
        _multiply(sources, sizes[-1], Path(name))
        # Small sizes before and after the large one: the machine's speed drifts, and a short pass says little alone.
        for size in [*sizes, *sizes[-2::-1], *sizes[:-1]]:
            with selected(Path(name), photos=size) as split:
                runs[size].append(ours(split.folder, options.growth_backbone, {"epochs": 1}, options.threads))
    medians, beyond = [], []
    for size, ran in runs.items():
        rate = Figure.of(f"{size:,} photos: photos/s", [size / run.done["seconds"]["features"] for run in ran])
        memory, features = max(run.done["peak_memory_bytes"] for run in ran), 4 * size * ran[0].features
        medians.append(rate.value)
        beyond.append(memory - features)
        yield rate
        yield Figure(f"{size:,} photos: memory, MB", memory / 1e6, at_most=TARGET_MB)
        yield Figure(f"{size:,} photos: of which features, MB", features / 1e6)
    yield Figure("photos/s, slowest size / fastest", min(medians) / max(medians), at_least=TARGET_RATE)
    yield Figure("memory beyond the features, largest size / smallest", beyond[-1] / beyond[0], at_most=TARGET_MEMORY)


def _multiply(sources: list[Path], count: int, folder: Path) -> None:
    """Write `count` photos of a few classes, each of other content: its number follows the JPEG's end."""
    bodies = [path.read_bytes() for path in sources]
    for number in range(count):
        split = "validation" if number % VALIDATION == 0 else "train"
        path = folder / split / f"class{number // VALIDATION % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[number % len(bodies)] + number.to_bytes(8, "little"))
    os.sync()  # else the disk is still busy with them while the first size is measured
