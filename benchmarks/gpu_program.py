"""Checks of benchmarks.gpu on whole programs and real files: the feature pass, fine-tuning with stop and resume, serving.

python -m benchmarks.gpu_program NAME [--device cpu] [--quick]
"""

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_checks import MEASURED, RIGHT, WRONG, Line, Setting, run
from benchmarks.gpu_train import ready_model
from classifier.photos import Photo, PhotoSet
from launch.opt_ml import lay_out
from launch.server import serving as server
from train.features import FeaturePass
from train.features.collector import BATCH
from train.precision import resolve_precision

CLASSES = ("red", "green", "blue")


def feature_pass(setting: Setting) -> Iterator[Line]:
    """Photos a second with a thread that computes for all lanes, and with lanes that compute; the second pass counts."""
    with tempfile.TemporaryDirectory() as name:
        paths = sorted(_photos(Path(name), 8 if setting.quick else 200).rglob("*.jpg"))
        photos = PhotoSet((), {"all": tuple(Photo(path, 0) for path in paths)})
        model = ready_model(setting.backbone, 3)[0].eval().to(setting.device)
        precision = resolve_precision("auto")
        for batch in (64, 0):
            BATCH[setting.device] = batch
            seconds, memory = 0.0, 0
            for _ in range(2):
                if setting.device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                started = time.perf_counter()
                with contextlib.redirect_stderr(io.StringIO()):
                    FeaturePass(model=model, precision=precision).extract(photos)
                seconds = time.perf_counter() - started
                memory = torch.cuda.max_memory_allocated() if setting.device == "cuda" else 0
            way = "one thread computes" if batch else "each lane computes"
            yield (
                f"pass, {precision}, {way}",
                f"{len(paths) / seconds:.0f} photos/s, {memory / 2**30:.2f} GiB",
                MEASURED,
            )


def finetune(setting: Setting) -> Iterator[Line]:
    """A job with fine-tuning at each precision; one is stopped in fine-tuning and goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = _photos(folder / "photos", 8 if setting.quick else 60)
        for precision in ("fp32",) if setting.device == "cpu" else ("bf16", "fp16", "fp32"):
            job = _job(folder / precision, photos, setting, precision)
            started = time.perf_counter()
            with _training(job) as process:
                status = process.wait()
            yield f"a job, {precision}", _figure(job, time.perf_counter() - started), RIGHT if status == 0 else WRONG
        job = _job(folder / "stopped", photos, setting, "auto")
        with _training(job) as process:
            _wait_for(job / "checkpoints", "finetune-*.pt", process)
            process.send_signal(signal.SIGTERM)
            status = process.wait()
        yield "stopped in fine-tuning", f"status {status}", MEASURED
        with _training(job) as process:
            status = process.wait()
        yield "the same job goes on", _figure(job, 0), RIGHT if status == 0 else WRONG


def serving(setting: Setting) -> Iterator[Line]:
    """The server with each number of clients: photos a second, and what most of them wait."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = _photos(folder / "photos", 8)
        job = _job(folder / "job", photos, setting, "auto")
        config = job / "input" / "config" / "hyperparameters.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"finetune-epochs": "0"}))
        with _training(job) as process:
            if process.wait():
                yield "a model to serve", _figure(job, 0), WRONG
                return
        bodies = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
        started = time.perf_counter()
        log = folder / "log.txt"
        with server(job / "model", 0, log) as url:
            said = log.read_text().splitlines()
            yield f"ready after {time.perf_counter() - started:.0f} s", (said[-1] if said else "")[:120], MEASURED
            for clients in (1, 4) if setting.quick else (1, 4, 16, 64):
                yield _load(url, bodies, clients, 1 if setting.quick else 6)


def _load(url: str, bodies: list[bytes], clients: int, seconds: float) -> Line:
    end = time.perf_counter() + seconds
    address = urlsplit(url).netloc

    def client(number: int) -> list[tuple[int, float]]:
        connection = http.client.HTTPConnection(address, timeout=30)
        answers: list[tuple[int, float]] = []
        while time.perf_counter() < end:
            started = time.perf_counter()
            body = bodies[(number + len(answers)) % len(bodies)]
            connection.request("POST", "/invocations", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            answers.append((answer.status, time.perf_counter() - started))
        return answers

    with ThreadPoolExecutor(clients) as pool:
        answers = [answer for each in pool.map(client, range(clients)) for answer in each]
    times = np.array([taken for _, taken in answers])
    statuses = {status for status, _ in answers}
    figure = f"{len(answers) / seconds:.0f} photos/s, median {1000 * np.median(times):.1f} ms"
    figure += f", 99 % within {1000 * np.quantile(times, 0.99):.1f} ms"
    return f"{clients} clients", figure, RIGHT if statuses == {200} else WRONG


def _photos(folder: Path, each: int) -> Path:
    """Write `each` photos of each class for training and a third as many for validation, of a usual size, and return the folder."""
    chance = np.random.default_rng(0)
    for split, count in (("train", each), ("validation", max(2, each // 3))):
        for channel, label in enumerate(CLASSES):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                coarse = chance.integers(0, 128, (12, 16, 3), dtype=np.uint8)
                coarse[..., channel] += 96
                photo = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
                photo.save(folder / split / label / f"{number:04d}.jpg", quality=90)
    return folder


def _job(base: Path, photos: Path, setting: Setting, precision: str) -> Path:
    """Lay out a job as the platform does."""
    for folder in (base / "model", base / "output" / "data", base / "checkpoints"):
        folder.mkdir(parents=True)
    hyperparameters = {
        "backbone": setting.backbone,
        "weights": "random",
        "precision": precision,
        "epochs": "2",
        "finetune-epochs": "2",
        "finetune-batch-size": str(setting.batch),
        "checkpoint-seconds": "0",
    }
    lay_out(base, {"training": photos}, hyperparameters)
    return base


@contextlib.contextmanager
def _training(base: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base)}
    with (base / "log.txt").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "train"], env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_for(folder: Path, pattern: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None and not list(folder.glob(pattern)):
        time.sleep(0.05)


def _figure(base: Path, seconds: float) -> str:
    """Return how fast the last epoch of fine-tuning was and how much of it was waiting, or why the job failed."""
    failure, records = base / "output" / "failure", base / "output" / "data" / "records.jsonl"
    if failure.exists():
        return failure.read_text()[:150]
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    tuned = [line for line in lines if line["kind"] == "epoch" and line["stage"] == "finetune"]
    whole = f"{seconds:.0f} s in all; " if seconds else ""
    if not tuned:
        return f"{whole}no epoch of fine-tuning"
    rate, share = tuned[-1]["images_per_second"], tuned[-1]["data_wait_share"]
    return f"{whole}epoch {tuned[-1]['epoch']}: {rate:.0f} photos/s, {share:.0%} of it waiting for data"


CHECKS: dict[str, Callable[[Setting], Iterator[Line]]] = {
    "pass": feature_pass,
    "finetune": finetune,
    "serving": serving,
}

if __name__ == "__main__":
    # So that what was started is ended, and temporary folders go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(CHECKS))
