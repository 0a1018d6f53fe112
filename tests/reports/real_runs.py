"""Real training runs for the tests of the rules, on a part of the data set of dog breeds: `python -m tests.reports.real_runs FOLDER`.

It trains each of RUNS below FOLDER with `byoc train`, writes their reports, and prints for each run which rules found something. A GPU that
waits and a second host are simulated: their device records are written beside a real run.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from reports.report import write
from tests.conftest import LITE, SHARED
from tests.reports.made import metrics

BREEDS = SHARED / "breeds"
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
GOOD: dict[str, str] = {}  # the defaults


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One run: the function that writes its photos, its settings, its simulated devices, and our rules that must find something."""

    photos: Callable[[Path], None]
    settings: Mapping[str, str] = field(default_factory=lambda: GOOD)
    devices: Callable[[Path], Path] | None = None
    rules: tuple[str, ...] = ()


def breeds(folder: Path, counts: Mapping[str, int], classes: int = 8) -> None:
    """Copy the first photos of each class, `count` of them in each split."""
    for split, count in counts.items():
        for breed in sorted((BREEDS / split).iterdir())[:classes]:
            target = folder / SPLITS[split] / breed.name
            target.mkdir(parents=True)
            for photo in sorted(breed.iterdir())[:count]:
                shutil.copy(photo, target)


def plain(folder: Path) -> None:
    breeds(folder, {"train": 40, "valid": 7, "test": 7})


def few(folder: Path) -> None:
    breeds(folder, {"train": 3, "valid": 7, "test": 7})


def imbalanced(folder: Path) -> None:
    """Copy all photos of four classes; of the other classes, two photos for training and one for testing."""
    breeds(folder, {"train": 40, "valid": 7})
    for place, breed in enumerate(sorted((BREEDS / "train").iterdir())[:8]):
        target = folder / "test" / breed.name
        target.mkdir(parents=True)
        for photo in sorted(breed.iterdir())[40 : 56 if place < 4 else 41]:
            shutil.copy(photo, target)
        if place >= 4:
            for photo in sorted((folder / "train" / breed.name).iterdir())[2:]:
                photo.unlink()


def flipped(folder: Path) -> None:
    """Move 5 % of the training photos into another class."""
    plain(folder)
    chance = random.Random(0)
    photos = sorted((folder / "train").glob("*/*"))
    names = sorted(path.name for path in (folder / "train").iterdir())
    for photo in chance.sample(photos, len(photos) // 20):
        other = chance.choice([name for name in names if name != photo.parent.name])
        photo.rename(folder / "train" / other / photo.name)


def slow(folder: Path) -> None:
    """Store photos in a form that takes long to decode, PNG files of 12 megapixels; each training photo twice."""
    breeds(folder, {"train": 6, "valid": 2, "test": 2}, classes=4)
    for photo in sorted(folder.glob("*/*/*.jpg")):
        with Image.open(photo) as opened:
            opened.resize((4000, 3000)).save(photo.with_suffix(".png"), compress_level=1)
        photo.unlink()
        if photo.parts[-3] == "train":
            shutil.copy(photo.with_suffix(".png"), photo.with_name(f"again-{photo.stem}.png"))


def starved(folder: Path) -> Path:
    return metrics(folder, [3] * 600, [97] * 600)


def unused(folder: Path) -> Path:
    """Write a host whose GPU and processor have little to do, as in steps that are too small for them."""
    return metrics(folder, [12 + place % 9 for place in range(600)], [35] * 600)


def unequal(folder: Path) -> Path:
    """Write two hosts, of which one computes a step in two thirds of the time and then waits for the other."""
    metrics(folder, [72 if place % 3 else 15 for place in range(600)], [40] * 600, node="algo-1")
    return metrics(folder, [97] * 600, [40] * 600, node="algo-2")


FINETUNE = {"lr": "0.01", "epochs": "2", "finetune-batch-size": "8"}
RUNS = {
    "good run": Wanted(photos=plain),
    "learning rate far too high": Wanted(
        photos=plain, settings={"lr": "10", "epochs": "8"}, rules=("LossNotDecreasing",)
    ),
    "learning rate far too low": Wanted(
        photos=plain, settings={"lr": "1e-6", "epochs": "8"}, rules=("LossNotDecreasing",)
    ),
    "batches of one photo": Wanted(
        photos=plain, settings={**GOOD, "batch-size": "1"}, devices=unused, rules=("LowGPUUtilization", "BatchSize")
    ),
    "photos that take long to read": Wanted(
        # A network that computes little, so that the processor has time to load photos.
        photos=slow,
        settings={**FINETUNE, "finetune-epochs": "2", "backbone": "timm/mobilenetv3_small_050", "weights": "random"},
        rules=("DataWait",),
    ),
    "GPU starved by the processor": Wanted(
        photos=plain, devices=starved, rules=("LowGPUUtilization", "CPUBottleneck", "BatchSize")
    ),
    "two hosts of unequal speed": Wanted(photos=plain, devices=unequal, rules=("LoadBalancing",)),
    # Validation has equally many photos of all classes, and the two training photos of a rare class are learnt by heart.
    "imbalanced classes": Wanted(photos=imbalanced, rules=("ClassImbalance", "Overfit")),
    "5 % of the labels flipped": Wanted(photos=flipped, rules=()),
    "fine-tuning on three photos a class": Wanted(
        photos=few,
        settings={**FINETUNE, "finetune-epochs": "10", "finetune-lr": "0.001"},
        rules=("Overfit", "Overtraining"),
    ),
    "a head on three photos a class, for long": Wanted(
        photos=few, settings={"lr": "0.1", "epochs": "40"}, rules=("Overfit",)
    ),
}


def make(name: str, folder: Path, feature_cache: Path) -> Path:
    """Train one of RUNS in a folder and write its report. Raise CalledProcessError if training fails."""
    wanted, data, out = RUNS[name], folder / "photos", folder / "run"
    wanted.photos(data)
    chosen = {"backbone": LITE, **wanted.settings}
    settings = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    command = [str(Path(sys.executable).parent / "byoc"), "train", "--data", str(data)]
    command += ["--out", str(out), "--feature-cache", str(feature_cache), *settings]
    subprocess.run(command, check=True, capture_output=True, text=True)
    if wanted.devices:
        wanted.devices(out)
    write(out)
    return out


def found(out: Path) -> dict[str, str]:
    """Return those of our rules that find something in a run, each with its sentence."""
    return {one.rule: one.ours.sentence for one in write(out).report.judged if one.ours.state == "triggered"}


def table() -> str:
    """Return the table of docs/reports.md."""
    shown = sorted({rule for wanted in RUNS.values() for rule in wanted.rules})
    head = f"| run | {' | '.join(shown)} |\n| {' | '.join(['---'] * (1 + len(shown)))} |"
    rows = [
        f"| {name} | {' | '.join('x' if rule in wanted.rules else '' for rule in shown)} |"
        for name, wanted in RUNS.items()
    ]
    return "\n".join([head, *rows])


def main() -> None:
    """Make all runs, or those that are named, and print what is found in each."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(RUNS)
    for name in names:
        rules = found(make(name, folder / name.replace(" ", "-"), folder / "features"))
        same = (
            "as expected"
            if set(rules) == set(RUNS[name].rules)
            else f"EXPECTED {', '.join(RUNS[name].rules) or 'nothing'}"
        )
        print(f"{name}: {', '.join(rules) or 'nothing'} ({same})", flush=True)
        for rule, sentence in rules.items():
            print(f"    {rule}: {sentence}", flush=True)


if __name__ == "__main__":
    main()
