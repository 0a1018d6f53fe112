"""Load on a server from wrk, in a closed loop: each client sends its next photo when it has the answer to the last."""

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.runs import NotRun

SCRIPT = Path(__file__).with_name("load.lua")
MEGAPIXELS_12 = 12_000_000
WARM_SECONDS = 2.0


@dataclass(frozen=True)
class Photos:
    """Files that are sent in turn, in an order that is the same for every server."""

    name: str
    paths: tuple[Path, ...]


def inputs(folder: Path, target: Path, *, large: int) -> dict[str, Photos]:
    """Return the photos at natural size, `large` of them enlarged to 12 megapixels, and all at 224 px, written to `target`."""
    natural = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not natural:
        raise NotRun(f"{folder} holds no JPEG photos; name a folder of photos")
    random.Random(0).shuffle(natural)
    made = {"natural": natural, "12mp": [], "224": []}
    for name in ("12mp", "224"):
        (target / name).mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(natural[:large] if name == "12mp" else natural):
            image = Image.open(path).convert("RGB")
            width, height = image.size
            scale = (MEGAPIXELS_12 / (width * height)) ** 0.5
            size = (224, 224) if name == "224" else (round(width * scale), round(height * scale))
            made[name].append(target / name / f"{number:03d}.jpg")
            image.resize(size, Image.Resampling.BICUBIC).save(made[name][-1], quality=90)
    return {name: Photos(name, tuple(paths)) for name, paths in made.items()}


def load(url: str, photos: Photos, clients: int, seconds: float, field: str | None) -> dict[str, Any]:
    """Load for some seconds after a short warm-up: requests/s, ms at the percentiles, errors, and the client's CPU seconds."""
    if not shutil.which("wrk"):
        raise NotRun("wrk is not installed; apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{path.resolve()}\n" for path in photos.paths))
        listed.flush()
        warm, _ = _wrk(url, Path(listed.name), clients, WARM_SECONDS, field)
        found, cpu = _wrk(url, Path(listed.name), clients, seconds, field)
        if not found["requests"]:  # slower than that
            found, cpu = _wrk(url, Path(listed.name), clients, 5 * seconds, field)
    if not found["requests"]:
        raise NotRun(f"{url} answered nothing in {5 * seconds:g} s; load for longer")
    rates = {"requests/s": found["requests"] / found["seconds"], "client_cpu": cpu}
    return found | rates | {"warm_requests": warm["requests"]}


def _wrk(url: str, listed: Path, clients: int, seconds: float, field: str | None) -> tuple[dict[str, Any], float]:
    command: Sequence[str] = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "60s",
        "-s",
        str(SCRIPT),
        url,
    ]
    process = subprocess.Popen(
        [*command, "--", str(listed), *([field] if field else [])], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise NotRun(f"wrk ended with status {process.returncode}: {output.strip()[-200:]}")
    return json.loads(output.strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime
