"""Load on a server from wrk, in a closed loop: each client sends its next photo when it has the answer to the last."""

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.parts import NotRun

MEGAPIXELS_12 = 12_000_000
WARM_SECONDS = 2.0


def inputs(folder: Path, target: Path, *, large: int) -> dict[str, list[Path]]:
    """Return the photos at natural size, `large` of them enlarged to 12 megapixels, and all at 224 px, written to `target`."""
    natural = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not natural:
        raise NotRun(f"{folder} holds no JPEG photos; name a folder of photos")
    random.Random(0).shuffle(natural)  # in an order that is the same for every server
    made: dict[str, list[Path]] = {"natural": natural, "12mp": [], "224": []}
    for name in ("12mp", "224"):
        (target / name).mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(natural[:large] if name == "12mp" else natural):
            image = Image.open(path).convert("RGB")
            scale = (MEGAPIXELS_12 / (image.width * image.height)) ** 0.5
            size = (224, 224) if name == "224" else (round(image.width * scale), round(image.height * scale))
            made[name].append(target / name / f"{number:03d}.jpg")
            image.resize(size, Image.Resampling.BICUBIC).save(made[name][-1], quality=90)
    return made


def load(url: str, photos: Sequence[Path], clients: int, seconds: float, field: str | None) -> dict[str, Any]:
    """Load for some seconds after a short warm-up: requests/s, ms at the percentiles, errors, and the client's CPU seconds."""
    if not shutil.which("wrk"):
        raise NotRun("wrk is not installed; apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{path.resolve()}\n" for path in photos))
        listed.flush()
        warm = _wrk(url, listed.name, clients, WARM_SECONDS, field)
        for longer in (1, 5):  # for a server that is slower than that
            found = _wrk(url, listed.name, clients, longer * seconds, field)
            if found["requests"]:
                return found | {"requests/s": found["requests"] / found["seconds"], "warm_requests": warm["requests"]}
    raise NotRun(f"{url} answered nothing in {5 * seconds:g} s; load for longer")


def _wrk(url: str, listed: str, clients: int, seconds: float, field: str | None) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
    command += ["-s", str(Path(__file__).with_name("load.lua")), url, "--", listed, *([field] if field else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read().strip()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise NotRun(f"wrk ended with status {process.returncode}: {output[-200:]}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found | {"client_cpu": usage.ru_utime + usage.ru_stime}
