"""The network's input from the training photos: mean and standard deviation of each channel, after normalisation."""

import numpy as np
import numpy.typing as npt

from classifier.images import Pixels
from classifier.spec import Preprocessing

PHOTOS = 500  # how many photos are measured, from the start of train, as in SageMaker's rule CheckInputImages
STRIDE = 8  # every 8th pixel of every 8th row is enough, and takes 20 microseconds a photo
Moments = npt.NDArray[np.float64]


def moments(pixels: Pixels) -> Moments:
    """Return [2, 3]: the mean and the mean square of each channel of a photo, from 0 to 255."""
    some = pixels[::STRIDE, ::STRIDE].astype(np.float64).reshape(-1, 3)
    return np.stack([some.mean(0), np.square(some).mean(0)])


def normalised(found: list[Moments], preprocessing: Preprocessing) -> dict[str, list[float]]:
    """Return mean and standard deviation of each channel over photos with these moments, as the network gets them."""
    mean, square = np.mean(found, axis=0)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    scale = 255 * np.array(preprocessing.std)
    return {"mean": list((mean / 255 - preprocessing.mean) / preprocessing.std), "std": list(deviation / scale)}
