"""Parts of benchmarks.emulator that time clients of the emulator: fit() and upload_data() of SDK v2, and `byoc`.

The endpoint is a program that answers at once, and a job is a program that sleeps. Only the part `tuning` runs real jobs.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.emulator_process import BYOC, ROLE, ask, emulate, emulating, make_endpoint
from benchmarks.machine import LITE, ROOT, NotRun, seconds
from benchmarks.parts import Figure, Options

SDK = ROOT / ".venv-sdk" / "bin" / "python"
SAMPLES = ROOT / "data" / "samples"
TRIALS, PARALLEL = 8, 2
# Calls SDK v2's fit(). The job's program prints the time at its end. This program and the two below print seconds as their last line.
FIT = """
import sys, time
from sagemaker.estimator import Estimator

metric = [{"Name": "ended", "Regex": "ended=([0-9.]+)"}]
estimator = Estimator("byoc-classifier-train", sys.argv[1], 1, "ml.m5.large", metric_definitions=metric)
estimator.fit()
end = time.time()
print(end - estimator.latest_training_job.describe()["FinalMetricDataList"][0]["Value"])
"""
JOB = ("--on", "sagemaker", "--image", "byoc-classifier-train:cpu", "--instance", "ml.m5.large", "--yes", "--detach")
ACCOUNT = (*JOB, "--region", "us-east-1", "--role", ROLE, "--bucket", "bench")
SENT_BYTES = 45_000  # bytes of each uploaded file
SDK_UPLOAD = """
import sys, time
import sagemaker
session, started = sagemaker.Session(default_bucket="bench"), time.monotonic()
session.upload_data(sys.argv[1], key_prefix="sdk")
print(time.monotonic() - started)
"""
OUR_UPLOAD = """
import sys, time
from pathlib import Path
from launch.aws.account.upload import upload
from launch.aws.session import Session
from launch.aws.settings import Settings
session, started = Session(Settings(region="us-east-1")), time.monotonic()
upload(session, Path(sys.argv[1]), "s3://bench/byoc")
print(time.monotonic() - started)
"""


def fit(options: Options) -> Iterator[Figure]:
    """Measure the time from the end of the job's program to the end of fit(). It includes packing and uploading the model."""
    for shown, hold, target in (("", (), 12), (", with --hold", ("--hold", "20"), 1)):
        waits = []
        for _ in range(options.rounds):
            with TemporaryDirectory(prefix="bench-emulator-") as name:
                command = [*emulating(Path(name), *hold), "--", str(_sdk()), "-W", "ignore", "-c", FIT, ROLE]
                waits.append(_last_number(subprocess.check_output(command, text=True)))
        yield Figure.of(f"a 5-s job's end to the end of fit(){shown}, s", waits, at_most=target)


def tuning(options: Options) -> Iterator[Figure]:
    """Time the same search in two ways: `byoc tune`, whose trials share their features, and a tuning job, whose jobs share nothing."""
    search = ["tune", "--data", options.photos.resolve(), "--backbone", LITE, "--trials", TRIALS]
    ours, job = [], []
    for _ in range(options.rounds):
        with emulate("--programs", Path(BYOC).parent, "--jobs", PARALLEL) as emulator:
            here = [BYOC, *search, "--out", "tune", "--feature-cache", "features"]
            ours.append(seconds(partial(emulator.run, *here)))
            emulator.run(BYOC, *search, "--parallel", PARALLEL, *ACCOUNT, "--name", "bench")
            describe = partial(
                emulator.client("sagemaker").describe_hyper_parameter_tuning_job, HyperParameterTuningJobName="bench"
            )
            while (found := describe())["HyperParameterTuningJobStatus"] == "InProgress":
                time.sleep(0.5)
            if found["TrainingJobStatusCounters"]["Completed"] != TRIALS:
                raise NotRun(f"not all jobs completed: {found['TrainingJobStatusCounters']}")
            job.append((found["HyperParameterTuningEndTime"] - found["CreationTime"]).total_seconds())
    yield Figure.of(f"byoc tune of {TRIALS} trials, s", ours)
    yield Figure.of(f"tuning job of {TRIALS}, {PARALLEL} in parallel, s", job)
    yield Figure("tuning job / byoc tune, s", median(job) / median(ours), at_most=1.3)


def driver(options: Options) -> Iterator[Figure]:
    """Time `byoc --help`, `byoc predict` without its request, and `byoc train` from its start to the job's creation."""
    photo, headers = next(SAMPLES.glob("test/*/*.jpg")), {"Content-Type": "image/jpeg"}
    helps, predictions, creations = [], [], []
    with emulate() as emulator:
        make_endpoint(emulator)
        url = f"{emulator.url}/endpoints/bench/invocations"
        for split in ("train", "validation"):
            emulator.s3("PUT", f"/bench/photos/{split}/beagle/1.jpg", b"1")
        predict = ("predict", "--endpoint", "bench", "--region", "us-east-1", "--json", photo)
        for number in range(options.rounds):
            helps.append(seconds(emulator.run, BYOC, "--help"))
            whole = seconds(emulator.run, BYOC, *predict)
            predictions.append(whole - seconds(ask, url, photo.read_bytes(), headers))
            start, name = time.time(), f"bench-{number}"
            emulator.run(BYOC, "train", "--data", "s3://bench/photos/", *ACCOUNT, "--sender", "sdk", "--name", name)
            job = emulator.client("sagemaker").describe_training_job(TrainingJobName=name)
            creations.append(job["CreationTime"].timestamp() - start)
    yield Figure.of("byoc --help, s", helps, at_most=0.3)
    yield Figure.of("byoc predict --endpoint, besides the request, s", predictions, at_most=0.6)
    yield Figure.of("byoc train through SDK v2, to the job's creation, s", creations, at_most=4)


def upload(options: Options) -> Iterator[Figure]:
    """Time three uploads of the same files: by SDK v2's upload_data, by `byoc`, and by `byoc` a second time.

    Each upload runs in its own process, and its imports are not timed. `byoc data upload` also checks the photos first. This
    check is left out here, because upload_data does not check them.
    """
    with emulate() as emulator:
        photos = emulator.folder / "photos"
        for number in range(options.sent):
            path = photos / f"class-{number % 20:02d}" / f"photo {number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SENT_BYTES))
        programs = ((_sdk(), SDK_UPLOAD), (sys.executable, OUR_UPLOAD), (sys.executable, OUR_UPLOAD))
        sdk, first, again = (
            _last_number(emulator.run(python, "-W", "ignore", "-c", code, photos)) for python, code in programs
        )
    yield Figure("SDK v2's upload_data, s", sdk)
    yield Figure("byoc data upload, s", first)
    yield Figure("upload_data / byoc data upload", sdk / first, at_least=5)
    yield Figure("byoc data upload, the second time, s", again, at_most=15)


def _sdk() -> Path:
    if not SDK.exists():
        raise NotRun(f"{SDK} is missing; make it: make sdk")
    return SDK


def _last_number(printed: str) -> float:
    return float(printed.split()[-1])
