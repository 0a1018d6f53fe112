"""The backends that the guard accepts and refuses, with their accuracy on labelled photos that the guard does not have.

    python -m tests.serve.guard_table ARTIFACT FOLDER

FOLDER holds one folder of photos per class, like a test split. Prints rows of the table in docs/serving-speed.md.
"""

import copy
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from classifier import artifact
from classifier.backends import BACKENDS, Forward, eager, ir
from classifier.guard import examine, judge
from classifier.guard_photos import GuardPhotos, read_guard
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from tests.bf16 import usable


def main(folder: Path, photos: Path) -> None:
    """Print a row for each backend, and for each corruption of the model as the float32 backend would compute it."""
    model, spec = artifact.load(folder)
    crop, guard = spec.preprocessing.crop, read_guard(folder, len(spec.classes))
    # A folder of ImageNet photos may be named by more than the class: its first nine characters are the class's WordNet id.
    places = {name: place for place, name in enumerate(spec.classes)}
    paths = [path for path in sorted(photos.glob("*/*")) if path.is_file()]
    labels = np.array([places.get(path.parent.name, places.get(path.parent.name[:9], -1)) for path in paths])
    assert (labels >= 0).all(), "FOLDER has classes that the model does not know"
    pixels = np.stack([load_pixels(read_photo(path), spec.preprocessing) for path in paths])
    unseen = GuardPhotos((), labels, _opened(model, "openvino")(pixels), guard.rounding)
    for name, forward in _forwards(model):
        chosen, seen = examine(forward, guard, crop), judge(forward(pixels), unseen)
        print(
            f"| {name} | {'refused' if chosen.refusal() else 'accepted'} | {chosen.photos} | {chosen.noise:.1%} of {chosen.most_noise:.1%} "
            f"| {seen.trained_hits / seen.photos:.3f} | {seen.hits / seen.photos:.3f} | {seen.gain:+.4f} | {seen.changes} |",
            flush=True,
        )


def _forwards(model: Classifier) -> Iterator[tuple[str, Forward]]:
    for name, backend in BACKENDS.items():
        if backend.device == "cpu" and usable(name):
            yield name, _opened(model, name)
    for name, corrupt in _CORRUPTIONS.items():
        corrupted = copy.deepcopy(model)
        corrupt(corrupted)
        yield name, _opened(corrupted, "openvino")


def _opened(model: Classifier, name: str) -> Forward:
    backend, crop = BACKENDS[name], model.preprocessing.crop
    if backend.library == "torch":
        torch.set_num_threads(1)
        return eager.open_torch(model, backend, crop)
    with tempfile.TemporaryDirectory() as place:
        ir.write_ir(ir.from_torch(model, crop), Path(place))
        return ir.open_ir(Path(place) / ir.IR, backend.precision, 1)


def _swap(model: Classifier) -> None:
    # Among the pairs of layers with equal shapes, a swap of this pair changes the answers least, so it is the hardest to detect.
    one, other = (model.backbone.get_submodule(f"blocks.3.{number}.conv_pw") for number in (1, 2))
    one.weight, other.weight = other.weight, one.weight


def _leave_out(model: Classifier, stage: int, block: int) -> None:
    setattr(model.backbone.get_submodule(f"blocks.{stage}"), str(block), nn.Identity())


def _preprocess(model: Classifier, mean: float, std: float) -> None:
    model.mean, model.scale = torch.full((3, 1, 1), 255 * mean), torch.full((3, 1, 1), 255 * std)


def _shift(model: Classifier) -> None:
    *_, last = model.head.children()
    for parameter in last.parameters():
        parameter.data = parameter.data.roll(1, 0)


_CORRUPTIONS: dict[str, Callable[[Classifier], None]] = {
    "two layers swapped": _swap,
    "block 3.1 left out": partial(_leave_out, stage=3, block=1),
    "block 5.2 left out": partial(_leave_out, stage=5, block=2),
    "mean 0 instead of 0.5": partial(_preprocess, mean=0, std=0.5),
    "scale 0.25 instead of 0.5": partial(_preprocess, mean=0.5, std=0.25),
    "scale 0.45 instead of 0.5": partial(_preprocess, mean=0.5, std=0.45),
    "scale 1 instead of 0.5": partial(_preprocess, mean=0.5, std=1),
    "classes shifted by one": _shift,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
