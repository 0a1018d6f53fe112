"""Limits for AVIF only: pixels, frames that its header does not count, and one decoding thread."""

import contextlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from classifier.errors import PhotoError
from classifier.image_formats.avif import limit_frames
from classifier.images import decode, load_pixels
from tests.conftest import ROOT
from tests.image_files import PREPROCESSING, UPRIGHT, encoded

FLAT = Image.new("RGB", (2000, 1500), "teal")


def as_if(data: bytes, size: tuple[int, int], told: tuple[int, int]) -> bytes:
    """Return an AVIF whose header states another size than its frame has."""
    old = b"ispe" + bytes(4) + struct.pack(">II", *size)
    assert old in data
    return data.replace(old, b"ispe" + bytes(4) + struct.pack(">II", *told))


def test_an_avif_gives_nearly_the_pixels_that_it_was_made_from() -> None:
    photo = Image.fromarray(UPRIGHT).resize((400, 300), Image.Resampling.BICUBIC)
    crop = load_pixels(encoded(photo, "AVIF", quality=90), PREPROCESSING).astype(int)
    assert np.abs(crop - load_pixels(encoded(photo), PREPROCESSING)).mean() < 4


def test_transparent_parts_of_an_avif_become_white() -> None:
    assert np.asarray(decode(encoded(Image.new("RGBA", (64, 48), (200, 0, 0, 0)), "AVIF"))).min() >= 254


def test_an_avif_of_more_than_half_the_pixels_of_other_formats_is_refused() -> None:
    data = encoded(FLAT, "AVIF")
    assert decode(data).size == FLAT.size
    assert decode(encoded(FLAT), max_pixels=5_000_000).size == FLAT.size
    with pytest.raises(PhotoError, match="over the limit of 2,500,000"):
        decode(data, max_pixels=5_000_000)


def test_a_frame_that_is_larger_than_the_header_tells_is_counted() -> None:
    for mode in ("RGB", "L", "RGBA"):
        data = as_if(encoded(FLAT.convert(mode), "AVIF"), FLAT.size, (8, 8))
        with pytest.raises(PhotoError, match="frames of more than 2,000,000 pixels"):
            decode(data, max_pixels=2_000_000)


def test_frames_are_counted_over_all_parts_and_in_every_form_of_header() -> None:
    frame = encoded(FLAT, "AVIF")
    limit_frames(frame, 3_000_000)
    with pytest.raises(PhotoError):
        limit_frames(frame, 2_999_999)
    both = encoded(Image.new("RGBA", FLAT.size, (0, 90, 90, 120)), "AVIF")
    limit_frames(both, 6_000_000)
    with pytest.raises(PhotoError):
        limit_frames(both, 5_999_999)
    # A sequence has the long header, with operating points and timing.
    moving = encoded(FLAT, "AVIF", save_all=True, append_images=[FLAT.copy()])
    with pytest.raises(PhotoError):
        limit_frames(moving, 2_000_000)


def test_nonsense_in_an_avifs_boxes_is_left_to_the_decoder() -> None:
    data = encoded(Image.fromarray(UPRIGHT), "AVIF")
    for end in range(0, len(data), 7):
        limit_frames(data[:end], 10**9)
    for place in range(0, 300):
        for value in (0, 1, 255):
            spoiled = data[:place] + bytes([value]) + data[place + 1 :]
            with contextlib.suppress(PhotoError):
                decode(spoiled)


SAMPLER = """
import os, sys, threading, time
from classifier.images import decode
data, seen, done = sys.stdin.buffer.read(), set(), threading.Event()
before = len(os.listdir("/proc/self/task"))
def sample():
    while not done.is_set():
        seen.add(len(os.listdir("/proc/self/task")))
        time.sleep(0.001)
sampler = threading.Thread(target=sample)
sampler.start()
while not seen:
    time.sleep(0.001)
decode(data)
done.set()
sampler.join()
print(max(seen) - before)
"""


def test_an_avif_is_decoded_by_one_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAMPLER], input=encoded(FLAT, "AVIF"), capture_output=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) == 1  # the sampler is the only added thread
