"""Fine-tuning's random changes to photos: their pixels compared with Pillow and torchvision, and their frequency."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier.backbones import transforms
from classifier.images import decode
from classifier.photos import Photo
from classifier.spec import Preprocessing
from train.config import Config
from train.finetune.augment import batch_augmentation, photo_augmentation
from train.finetune.loading import Photos

PREPROCESSING = Preprocessing(
    resize=64, crop=48, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), draft_margin=1.0
)


@pytest.fixture(scope="module")
def photo(samples: Path) -> Image.Image:
    return Image.open(samples / "train" / "coffee" / "000.jpg").convert("RGB").resize((96, 96))


def augmented(image: Image.Image, config: Config, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    return photo_augmentation(config, PREPROCESSING)(image)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_crop_of_the_whole_is_pillows_own_resizing_and_half_of_them_are_mirrored(
    photo: Image.Image, interpolation: str
) -> None:
    preprocessing = Preprocessing(
        resize=64, crop=48, interpolation=interpolation, mean=(0.5,) * 3, std=(0.2,) * 3, draft_margin=1.0
    )
    change = photo_augmentation(Config(crop_scale=1.0), preprocessing)
    straight = np.array(photo.resize((48, 48), Image.Resampling[interpolation.upper()]))
    mirrored = 0
    torch.manual_seed(0)
    for _ in range(100):
        pixels = change(photo)
        flipped = np.array_equal(pixels, straight[:, ::-1])
        assert flipped or np.array_equal(pixels, straight)
        mirrored += flipped
    assert 38 <= mirrored <= 62


@pytest.mark.parametrize("smallest", [0.1, 0.35, 0.7])
def test_a_crop_covers_no_less_of_the_photo_than_asked_for_and_up_to_all_of_it(smallest: float) -> None:
    across, down = np.meshgrid(np.arange(256), np.arange(256))
    image = Image.fromarray(np.stack([across, down, across], 2).astype(np.uint8))
    shares = []
    for seed in range(200):
        pixels = augmented(image, Config(crop_scale=smallest), seed).astype(float)
        # 48 pixels span 47 distances between their centres, hence 48 / 47.
        shares.append(np.prod([np.ptp(pixels[:, :, channel]) / 255 * 48 / 47 for channel in (0, 1)]))
    assert smallest - 0.03 < min(shares) < smallest + 0.05
    assert 0.9 < max(shares) < 1.03


@pytest.mark.parametrize(
    ("augment", "policy"), [("trivialaugment", "TrivialAugmentWide"), ("randaugment", "RandAugment")]
)
def test_a_policy_is_torchvisions_own_after_crop_and_flip(photo: Image.Image, augment: str, policy: str) -> None:
    v2 = transforms()
    reference = getattr(v2, policy)(interpolation=v2.InterpolationMode.BICUBIC)
    changed = 0
    for seed in range(10):
        plain = augmented(photo, Config(), seed)
        expected = np.array(reference(Image.fromarray(plain)))  # this uses the random numbers that follow
        assert np.array_equal(augmented(photo, Config(augment=augment), seed), expected)
        changed += not np.array_equal(plain, expected)
    assert changed >= 7  # in some draws a policy changes nothing


@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_so_many_photos_lose_a_rectangle_as_asked_for(probability: float) -> None:
    red = Image.new("RGB", (96, 96), (255, 0, 0))
    count = sum(bool((augmented(red, Config(erasing=probability), seed)[:, :, 1] > 0).any()) for seed in range(200))
    assert abs(count / 200 - probability) < 0.1


@pytest.mark.parametrize(("name", "alpha"), [("MixUp", 0.2), ("MixUp", 5.0), ("CutMix", 0.2), ("CutMix", 5.0)])
def test_photos_are_mixed_as_torchvision_mixes_them(name: str, alpha: float) -> None:
    v2 = transforms()
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 1])
    mix = batch_augmentation(Config(mixup=alpha) if name == "MixUp" else Config(cutmix=alpha), 3)
    assert mix is not None
    torch.manual_seed(7)
    mixed, targets = mix(pixels, labels)
    torch.manual_seed(7)
    reference = v2.RandomChoice([getattr(v2, name)(alpha=alpha, num_classes=3)])
    expected, shares = reference(pixels.permute(0, 3, 1, 2).float(), labels)
    torch.testing.assert_close(mixed.permute(0, 3, 1, 2), expected)
    torch.testing.assert_close(targets, shares)


def photos(folder: Path, **settings: float) -> Photos:
    files = sorted((folder / "train" / "brick").iterdir())[:2]
    return Photos(
        photos=[Photo(file, label) for label, file in enumerate(files)],
        config=Config(**settings),
        preprocessing=PREPROCESSING,
        pack=None,
    )


def test_a_photo_differs_between_epochs_and_is_alike_between_runs(samples: Path) -> None:
    first, again, other = photos(samples), photos(samples), photos(samples, seed=1)
    pixels = [first[epoch, 0][0] for epoch in (1, 2, 3)]
    for number, one in enumerate(pixels):
        torch.rand(number)  # earlier random numbers have no influence
        assert np.array_equal(one, again[number + 1, 0][0])
        assert not np.array_equal(one, other[number + 1, 0][0])
    assert len({one.tobytes() for one in pixels}) == 3
    assert [first[1, position][1] for position in (0, 1)] == [0, 1]


def test_the_same_file_at_another_place_is_augmented_in_another_way(samples: Path) -> None:
    held = photos(samples)
    twice = Photos(photos=[held.photos[0]] * 2, config=held.config, preprocessing=PREPROCESSING, pack=None)
    assert not np.array_equal(twice[1, 0][0], twice[1, 1][0])


@pytest.mark.parametrize(("smallest", "size"), [(0.01, (1200, 900)), (0.04, (600, 450)), (1.0, (150, 113))])
def test_a_photo_is_decoded_so_large_that_its_smallest_crop_need_not_be_enlarged(
    tmp_path: Path, smallest: float, size: tuple[int, int]
) -> None:
    Image.new("RGB", (1200, 900)).save(tmp_path / "large.jpg")
    held = Photos(
        photos=[Photo(tmp_path / "large.jpg", 0)],
        config=Config(crop_scale=smallest),
        preprocessing=PREPROCESSING,
        pack=None,
    )
    assert decode((tmp_path / "large.jpg").read_bytes(), short_side=held._short_side).size == size


def test_a_photo_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    held = Photos(photos=[Photo(tmp_path / "text.jpg", 0)], config=Config(), preprocessing=PREPROCESSING, pack=None)
    assert held[1, 0] == f"{tmp_path / 'text.jpg'}: not an image"
