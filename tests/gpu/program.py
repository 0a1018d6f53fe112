"""The checks of a GPU that need photos or run a whole program: the feature pass, fine-tuning, serving."""

import http.client
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from benchmarks.features import extract
from benchmarks.jobs import ours
from benchmarks.machine import seconds
from classifier.errors import UserError
from launch.server import serving as server
from launch.training import terminate_running
from tests.gpu import MEASURED, RIGHT, WRONG
from tests.gpu.checks import Line, Setting, memory, ready_model, reset_memory
from train.features import FeaturePass
from train.features.collector import BATCH
from train.precision import resolve_precision

CLASSES = ("red", "green", "blue")


def feature_pass(setting: Setting) -> Iterator[Line]:
    """Measure photos a second in two ways: one thread computes for all lanes, or each lane computes. The second pass of each counts."""
    with TemporaryDirectory() as name:
        paths = sorted(make_photos(Path(name), 8 if setting.quick else 200).rglob("*.jpg"))
        model = ready_model(setting.backbone, 3)[0].eval().to(setting.device)
        precision, taken = resolve_precision("auto"), 0.0
        for batch, way in ((64, "one thread computes"), (0, "each lane computes")):
            BATCH[setting.device] = batch
            for _ in range(2):
                reset_memory(setting.device)
                taken = seconds(extract, FeaturePass(model=model, precision=precision), paths)
            figure = f"{len(paths) / taken:.0f} photos/s, {memory(setting.device):.2f} GiB"
            yield f"pass, {precision}, {way}", figure, MEASURED


def finetune(setting: Setting) -> Iterator[Line]:
    """Run a job with fine-tuning at each precision; then stop another job during fine-tuning, and go on with it."""
    with TemporaryDirectory() as name, ThreadPoolExecutor(1) as pool:
        folder = Path(name)
        photos = make_photos(folder / "photos", 8 if setting.quick else 60)
        for precision in ("fp32",) if setting.device == "cpu" else ("bf16", "fp16", "fp32"):
            yield f"a job, {precision}", *_job(folder / precision, photos, setting, {"precision": precision})
        base = folder / "stopped"
        stopped = pool.submit(_job, base, photos, setting, {})
        while not (stopped.done() or list((base / "checkpoints").glob("finetune-*.pt"))):
            time.sleep(0.05)
        terminate_running()
        yield "stopped in fine-tuning", stopped.result()[0], MEASURED
        yield "the same job goes on", *_job(base, photos, setting, {})


def serving(setting: Setting) -> Iterator[Line]:
    """Measure the server with different numbers of clients: photos a second, and how long the clients wait for an answer."""
    with TemporaryDirectory() as name:
        photos, model = photos_and_model(Path(name), setting)
        started, log = time.perf_counter(), Path(name) / "log.txt"
        with server(model, 0, log) as url:
            ready, said = time.perf_counter() - started, log.read_text().splitlines()
            yield f"ready after {ready:.0f} s", (said[-1] if said else "")[:120], MEASURED
            yield from loads(url, photos, setting)


def photos_and_model(folder: Path, setting: Setting) -> tuple[list[bytes], Path]:
    """Write photos, run a short job on them, and return the photos' bytes and the artifact's folder. Raises UserError if the job fails."""
    photos = make_photos(folder / "photos", 8)
    ours(photos, setting.backbone, {"epochs": 2}, base=folder / "job")
    return [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))], folder / "job" / "model"


def loads(url: str, photos: list[bytes], setting: Setting) -> Iterator[Line]:
    """Yield a line for each number of clients that send photos to a server at the same time."""
    for clients in (1, 4) if setting.quick else (1, 4, 16, 64):
        yield _load(url, photos, clients, 1 if setting.quick else 6)


def _load(url: str, bodies: list[bytes], clients: int, duration: float) -> Line:
    end = time.perf_counter() + duration
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
    median, most = np.quantile([1000 * taken for _, taken in answers], (0.5, 0.99))
    figure = f"{len(answers) / duration:.0f} photos/s, median {median:.1f} ms, 99 % within {most:.1f} ms"
    return f"{clients} clients", figure, RIGHT if {status for status, _ in answers} == {200} else WRONG


def make_photos(folder: Path, each: int) -> Path:
    """Write `each` photos of each class for training, and a third as many for validation; return the folder."""
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


def _job(base: Path, photos: Path, setting: Setting, hyperparameters: Mapping[str, object]) -> tuple[str, str]:
    """Run a job, or go on with one that was stopped; return a figure and a verdict.

    The figure holds the speed of the last epoch of fine-tuning, and the share of its time that was spent waiting for data. If the job
    fails, the figure is its error.
    """
    (base / "checkpoints").mkdir(parents=True, exist_ok=True)
    fixed = {"epochs": 2, "finetune-epochs": 2, "finetune-batch-size": setting.batch, "checkpoint-seconds": 0}
    try:
        run = ours(photos, setting.backbone, fixed | dict(hyperparameters), base=base)
    except UserError as error:
        return str(error)[:150], WRONG
    tuned = run.epochs("finetune")
    figure = f"{run.seconds:.0f} s in all; {len(tuned)} epochs of fine-tuning"
    if tuned:
        rate, share = tuned[-1]["images_per_second"], tuned[-1]["data_wait_share"]
        figure += f", the last at {rate:.0f} photos/s, {share:.0%} of it waiting for data"
    return figure, RIGHT
