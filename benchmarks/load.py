"""Load on a server from wrk, in a closed loop: each client sends its next photo when it has the answer to the last."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import NotRun, sample_photos
from benchmarks.photos import resized
from benchmarks.servers import Server

SCRIPT = str(Path(__file__).with_name("load.lua"))
WARM_SECONDS = 2.0


def inputs(folder: Path, kind: str, target: Path, large: int) -> Path:
    """Return a file that lists photos of natural size, `large` photos of 12 megapixels, or photos of 224 px, written to `target`."""
    paths = sorted(sample_photos(folder, sys.maxsize))
    random.Random(0).shuffle(paths)  # in an order that is the same for every server
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if kind != "natural":
        for number, path in enumerate(paths[: large if kind == "12mp" else None]):
            written.append(target / f"{number:03d}.jpg")
            written[-1].write_bytes(resized(path, 224 if kind == "224" else None))
    listed = target / "photos.txt"
    listed.write_text("".join(f"{path.resolve()}\n" for path in written or paths))
    return listed


def load(server: Server, photos: Path, clients: int, seconds: float) -> dict[str, float]:
    """Load with listed photos for some seconds after a short warm-up: requests, seconds, ms at the percentiles, errors.

    Raises NotRun where wrk is missing, or the server answers nothing.
    """
    if not shutil.which("wrk"):
        raise NotRun("wrk is not installed; apt-get install wrk")
    warm = _wrk(server, photos, clients, WARM_SECONDS)
    for longer in (1, 5):  # for a server that is slower than that
        found = _wrk(server, photos, clients, longer * seconds)
        if found["requests"]:
            return found | {"requests/s": found["requests"] / found["seconds"], "warm_requests": warm["requests"]}
    raise NotRun(f"{server.name} answered nothing in {5 * seconds:g} s; load for longer")


def _wrk(server: Server, photos: Path, clients: int, seconds: float) -> dict[str, float]:
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "60s",
        "-s",
        SCRIPT,
        server.url,
    ]
    command += ["--", str(photos), *filter(None, [server.field])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
