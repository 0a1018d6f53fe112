"""Photos as thumbnails: JPEG of at most 64 pixels a side, in base64."""

import base64
import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from classifier.errors import PhotoError
from classifier.images import decode
from train.processes.world import local_threads

SIDE = 64  # pixels
QUALITY = 70  # the quality of the JPEG; a thumbnail then has about 2 kB
# Seconds after which no further thumbnail is made: photos may be large or on a slow mount, and a machine may be busy.
SECONDS = 20.0


def thumbnails(paths: Sequence[Path], read: Callable[[Path], bytes]) -> dict[Path, str]:
    """Return the thumbnail of each photo that `read` gives and that can be decoded, in the order of their importance.

    Photos that remain after SECONDS are left out.
    """
    end = time.monotonic() + SECONDS

    def one(path: Path) -> str | None:
        if time.monotonic() > end:
            return None
        try:
            return _thumbnail(read(path))
        except (PhotoError, OSError):
            return None

    with ThreadPoolExecutor(local_threads()) as pool:
        made = zip(paths, pool.map(one, paths), strict=True)
        return {path: jpeg for path, jpeg in made if jpeg}


def _thumbnail(data: bytes) -> str:
    image = decode(data, short_side=SIDE)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode()
