"""Makes an artifact's optional files for serving: the guard's photos, and the model as OpenVINO IR."""

import copy
import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from classifier.backbones import convolutions
from classifier.backends import Logits, ir
from classifier.errors import PhotoError, short_reason
from classifier.guard import FIRST, noise, softmax
from classifier.guard_photos import MOST_BYTES, GuardPhotos, chosen, lossless
from classifier.images import Pixels, load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from classifier.selftest import Selftest, check_selftest
from classifier.side_by_side import side_by_side

TOGETHER = 8  # photos in one pass of the model
CHECKED = 16  # photos that check a conversion
# With export-openvino=auto, larger models are left out: the artifact would grow by hundreds of MB, and its download and unpacking would
# take longer than the conversion at the start of serving.
LARGEST = 400_000_000  # bytes of weights


def keep_guard(
    model: Classifier, photos: Sequence[Photo], seed: int, read: Callable[[Path], bytes] = read_photo
) -> GuardPhotos | None:
    """Return the validation photos for the guard, evenly over the classes; None if no such photo can be read.

    `model` is the trained one, on the processor and in eval mode; it computes at float32. `read` returns a photo's bytes.
    """
    labels = [photo.label for photo in photos]

    def prepared(place: int) -> tuple[bytes, Pixels] | None:
        try:
            photo = load_pixels(read(photos[place].path), model.preprocessing)
        except (OSError, PhotoError):  # the photo's file was removed after the feature pass
            return None
        return lossless(photo), photo

    places, kept, pixels, size = chosen(labels, seed), [], [], 0
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # Pillow works outside of Python's lock
        for place, found in zip(places, threads.map(prepared, places), strict=True):
            if not found:
                continue
            size += len(found[0])
            if size > MOST_BYTES:
                break
            kept.append((found[0], labels[place]))
            pixels.append(torch.from_numpy(found[1]))
    if not kept:
        return None
    files, kept_labels = zip(*kept, strict=True)
    logits = _logits(model, pixels)
    rounding = noise(_logits(_rounded(model), pixels[:FIRST]), logits[:FIRST])
    return GuardPhotos(files, np.array(kept_labels, np.int64), logits, rounding)


def write_ir(model: Classifier, guard: GuardPhotos, folder: Path, wanted: str) -> bool:
    """Write the model as OpenVINO IR into the folder if `wanted` says so, and return whether it was written.

    `wanted` is auto, on or off. If it is left out against `wanted`, print the reason. For some of the guard's
    photos the IR must give the model's probabilities.
    """
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if wanted == "off":
        return False
    if wanted == "auto" and size > LARGEST:
        reason = (
            f"the weights take {size / 1e6:,.0f} MB, and {LARGEST / 1e6:,.0f} are allowed; export-openvino=on writes it"
        )
    elif not importlib.util.find_spec("openvino"):
        reason = "this environment has no package openvino"
    else:
        try:
            crop = model.preprocessing.crop
            ir.write_ir(ir.from_torch(model, crop), folder)
            forward = ir.open_ir(folder / ir.IR, "fp32", torch.get_num_threads())
            expected = Selftest(guard.pixels(crop, 0, CHECKED), softmax(guard.logits[:CHECKED]))
            check_selftest(folder, softmax(forward(expected.pixels)), expected)
            return True
        except Exception as error:  # OpenVINO raises many types, and cannot convert every backbone
            reason = short_reason(error)
    print(f"the artifact holds no OpenVINO model, so serving starts more slowly: {reason}", flush=True)
    return False


def _logits(model: Classifier, pixels: list[Tensor]) -> Logits:
    def compute(start: int) -> Logits:
        with torch.inference_mode():
            logits: Logits = model(torch.stack(pixels[start : start + TOGETHER])).numpy()
        return logits

    return np.concatenate(side_by_side(compute, range(0, len(pixels), TOGETHER)))


def _rounded(model: Classifier) -> Classifier:
    """Return a copy whose weights are rounded to bfloat16, and so are the results of its layers; it runs on every processor."""
    copied = copy.deepcopy(model)
    for parameter in copied.parameters():
        parameter.data = parameter.data.bfloat16().float()
    for layer in copied.modules():
        if isinstance(layer, (*convolutions(), nn.Linear)):
            layer.register_forward_hook(lambda layer, given, result: result.bfloat16().float())
    return copied
