"""Augmentation for fine-tuning, built from torchvision.transforms.v2."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from classifier.backbones import transforms
from classifier.images import Pixels
from classifier.spec import Preprocessing
from train.config import Config


def photo_augmentation(config: Config, preprocessing: Preprocessing) -> Callable[[Image.Image], Pixels]:
    """Return a function that crops, flips and changes an RGB image at random, to pixels uint8 [crop, crop, 3].

    It draws random numbers from torch's global generator, which the caller seeds for each photo.
    """
    v2 = transforms()
    mode = v2.InterpolationMode(preprocessing.interpolation)
    parts: list[Any] = [
        v2.RandomResizedCrop(preprocessing.crop, scale=(config.crop_scale, 1.0), interpolation=mode),
        v2.RandomHorizontalFlip(),
    ]
    policies = {"trivialaugment": v2.TrivialAugmentWide, "randaugment": v2.RandAugment}
    if config.augment in policies:
        parts.append(policies[config.augment](interpolation=mode))
    if config.erasing:
        # An erased rectangle gets the mean colour, which the model sees as 0.
        grey = [255 * value for value in preprocessing.mean]
        parts += [v2.PILToTensor(), v2.RandomErasing(config.erasing, value=grey), v2.ToPILImage()]
    change = v2.Compose(parts)
    return lambda image: np.array(change(image))


def batch_augmentation(config: Config, classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Return a function that applies mixup, cutmix or one of the two at random; None if the configuration has neither.

    It takes pixels [N, H, W, 3] and labels [N], and returns mixed pixels and probabilities [N, classes].
    """
    v2 = transforms()
    mixes = [
        mix(alpha=alpha, num_classes=classes)
        for mix, alpha in ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
        if alpha
    ]
    if not mixes:
        return None
    mix = v2.RandomChoice(mixes)

    def apply(pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        # torchvision wants [N, 3, H, W]. The memory is not rearranged; torch calls this layout channels_last.
        images, targets = mix(pixels.permute(0, 3, 1, 2).float(), labels)
        return images.permute(0, 2, 3, 1), targets

    return apply
