"""The sample value that means white in a grey TIFF, according to its tags."""

from types import SimpleNamespace
from typing import Any

import pytest

from classifier.depth import _white

MOST, SIGNED_MOST, BITS, FORMAT = 281, 341, 258, 339  # MaxSampleValue, SMaxSampleValue, BitsPerSample, SampleFormat


def white(**tags: Any) -> float | None:
    numbers = {"most": MOST, "signed_most": SIGNED_MOST, "bits": BITS, "form": FORMAT}
    image: Any = SimpleNamespace(mode="I;16", tag_v2={numbers[name]: value for name, value in tags.items()})
    return _white(image, b"")


@pytest.mark.parametrize("name", ["most", "signed_most"])
@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, 4095),
        (1, 1),
        (3, 4095),  # 2 bits per sample, which no grey photo has
        (127, 4095),
        (255, 255),
        (511, 511),
        (40_000, 4095),  # not of the form 2^n - 1: it is only the photo's brightest sample
        (2**32 - 1, 2**32 - 1),
        (2.0**33 - 1, 4095),
    ],
)
def test_the_largest_sample_that_is_named_is_white_where_it_is_the_largest_of_so_many_bits(
    name: str, most: float, expected: float
) -> None:
    assert white(**{name: (most,), "bits": (12,)}) == expected


def test_of_two_largest_samples_that_of_any_type_counts() -> None:
    assert white(most=(1,), signed_most=(255,)) == 255
    assert white(most=(1,), signed_most=(254,)) == 1


def test_without_a_largest_sample_their_bits_tell_as_far_as_integers_have_them() -> None:
    assert [white(bits=(bits,)) for bits in (10, 16, 17, 32)] == [1023, 65_535, None, None]
    assert white(bits=16, form=2) == 32_767 and white(bits=16, form=1) == 65_535
    assert white() is None
