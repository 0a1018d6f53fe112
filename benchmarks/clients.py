"""Parts of benchmarks.emulator that time its clients: fit() and the tuner of SDK v2, and `byoc`.

An endpoint answers at once, and a job is a program that sleeps. Only in `tuning` the jobs are real ones.
"""

import json
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
from train.config import OBJECTIVE, TUNING_RANGES

SDK = ROOT / ".venv-sdk" / "bin" / "python"
SAMPLES = ROOT / "data" / "samples"
HOLD = ("--hold", "20")
TRIALS, PARALLEL = 8, 2
# SDK v2's own fit(), unchanged. The job's program prints the time when it ends. FIT and TUNE print seconds as their last line.
FIT = """
import time
import sagemaker
from sagemaker.estimator import Estimator

metric = [{"Name": "ended", "Regex": "ended=([0-9.]+)"}]
role = sagemaker.get_execution_role()
estimator = Estimator("byoc-classifier-train", role, 1, "ml.m5.large", metric_definitions=metric)
estimator.fit()
end = time.time()
print(end - estimator.latest_training_job.describe()["FinalMetricDataList"][0]["Value"])
"""
# The SDK's tuner searches the ranges of `byoc tune`. Arguments: photos, ranges as JSON, objective, backbone, jobs, parallel.
TUNE = """
import json, sys, time
import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

photos, ranges, objective, backbone, jobs, parallel = sys.argv[1:]
session = sagemaker.Session()
role = sagemaker.get_execution_role()
channel = session.upload_data(photos, key_prefix="photos")
estimator = Estimator("byoc-classifier-train", role, 1, "ml.m5.large", hyperparameters={"backbone": backbone})
searched = {}
for name, entry in json.loads(ranges).items():
    if "choices" in entry:
        searched[name] = CategoricalParameter(list(entry["choices"]))
    else:
        searched[name] = ContinuousParameter(entry["low"], entry["high"], scaling_type="Logarithmic")
metric = [{"Name": objective, "Regex": objective + "=([-+0-9.e]+)"}]
at_once = {"max_jobs": int(jobs), "max_parallel_jobs": int(parallel)}
tuner = HyperparameterTuner(estimator, objective, searched, metric, **at_once)
began = time.time()
tuner.fit({"training": channel})
took = time.time() - began
counts = tuner.describe()["TrainingJobStatusCounters"]
assert counts["Completed"] == int(jobs), counts
print(took)
"""
SETTINGS = f"""\
region = "us-east-1"
role = "{ROLE}"
bucket = "bench"

[images]
train = "byoc-classifier-train:cpu"

[instances]
train = ["ml.m5.large"]
"""
SENT_BYTES = 45_000  # of each file that is uploaded
# Both uploads take a folder, a bucket and a prefix, and print the seconds last.
OUR_UPLOAD = """
import sys, time
from pathlib import Path
from launch.aws.account.upload import upload
from launch.aws.session import Session
from launch.aws.settings import Settings
session, started = Session(Settings(region="us-east-1")), time.monotonic()
upload(session, Path(sys.argv[1]), f"s3://{sys.argv[2]}/{sys.argv[3]}")
print(time.monotonic() - started)
"""
SDK_UPLOAD = """
import sys, time
import boto3, sagemaker
folder, bucket, prefix = sys.argv[1:]
session = sagemaker.Session(boto_session=boto3.Session(), default_bucket=bucket)
started = time.monotonic()
session.upload_data(folder, bucket=bucket, key_prefix=prefix)
print(time.monotonic() - started)
"""


def fit(options: Options) -> Iterator[Figure]:
    """Measure how long fit() goes on after the job's program has ended; that includes the model's archive and its upload."""
    for shown, hold, target in (("", (), 12), (", with --hold", HOLD, 1)):
        waits = [_last_number(FIT, [], *hold) for _ in range(options.rounds)]
        yield Figure.of(f"a 5-s job's end to the end of fit(){shown}, s", waits, at_most=target)


def tuning(options: Options) -> Iterator[Figure]:
    """The same search by `byoc tune`, whose trials share their features, and by the SDK's tuner, whose jobs share nothing."""
    arguments = [str(options.photos), json.dumps(TUNING_RANGES), OBJECTIVE, LITE, str(TRIALS), str(PARALLEL)]
    programs = ("--programs", str(Path(BYOC).parent), "--jobs", str(PARALLEL))
    ours, tuner = [], []
    for _ in range(options.rounds):
        with TemporaryDirectory(prefix="bench-tune-") as name:
            tune = [BYOC, "tune", "--data", options.photos, "--backbone", LITE, "--trials", str(TRIALS)]
            tune += ["--out", f"{name}/tune", "--feature-cache", f"{name}/features"]
            ours.append(seconds(partial(subprocess.run, tune, check=True, stdout=subprocess.DEVNULL)))
        tuner.append(_last_number(TUNE, arguments, *programs, *HOLD))
    yield Figure.of(f"byoc tune of {TRIALS} trials, s", ours)
    yield Figure.of(f"tuning job of {TRIALS}, {PARALLEL} in parallel, s", tuner)
    yield Figure("tuning job / byoc tune, s", median(tuner) / median(ours), at_most=1.3)


def _last_number(code: str, arguments: list[str], *options: str) -> float:
    """Run a program of the SDK beside an emulator of its own and return the number that it prints last."""
    if not SDK.exists():
        raise NotRun(f"{SDK} is missing; make it: make sdk")
    with TemporaryDirectory(prefix="bench-emulator-") as name:
        emulator = emulating(Path(name), *options)
        done = subprocess.run([*emulator, "--", SDK, "-c", code, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the SDK's program ended with status {done.returncode}: {done.stderr[-1000:]}")
    return float(done.stdout.split()[-1])


def driver(options: Options) -> Iterator[Figure]:
    """Time `byoc --help`, what `byoc predict` adds to its request, and `byoc train` from its start to the job's creation."""
    photo, headers = next(SAMPLES.glob("test/*/*.jpg")), {"Content-Type": "image/jpeg"}
    helps, predictions, creations = [], [], []
    with emulate() as emulator:
        (emulator.folder / "byoc.toml").write_text(SETTINGS)

        def byoc(*words: str) -> None:
            command, environment = [BYOC, *words], emulator.environment
            subprocess.run(command, cwd=emulator.folder, env=environment, check=True, stdout=subprocess.DEVNULL)

        make_endpoint(emulator)
        for split in ("train", "validation"):
            emulator.s3("PUT", f"/bench/photos/{split}/beagle/1.jpg", b"1")
        for number in range(options.rounds):
            helps.append(seconds(byoc, "--help"))
            whole = seconds(byoc, "predict", "--endpoint", "bench", "--json", str(photo))
            url = f"{emulator.url}/endpoints/bench/invocations"
            predictions.append(whole - seconds(ask, url, photo.read_bytes(), headers))
            start, name = time.time(), f"bench-{number}"
            how = ("--on", "sagemaker", "--sender", "sdk", "--yes", "--detach", "--name", name)
            byoc("train", "--data", "s3://bench/photos/", *how)
            job = emulator.client("sagemaker").describe_training_job(TrainingJobName=name)
            creations.append(job["CreationTime"].timestamp() - start)
    yield Figure.of("byoc --help, s", helps, at_most=0.3)
    yield Figure.of("byoc predict --endpoint, besides the request, s", predictions, at_most=0.6)
    yield Figure.of("byoc train through SDK v2, to the job's creation, s", creations, at_most=4)


def upload(options: Options) -> Iterator[Figure]:
    """Upload the same files by SDK v2's upload_data, by `byoc`, and by `byoc` once more.

    Each upload runs in its own process, and its imports are not timed. `byoc data upload` also checks the photos first; upload_data
    does not, so that check is left out here.
    """
    times = []
    with emulate() as emulator:
        photos = emulator.folder / "photos"
        for number in range(options.sent):
            path = photos / f"class-{number % 20:02d}" / f"photo {number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SENT_BYTES))
        emulator.client("s3").create_bucket(Bucket="bench")
        for python, code in ((SDK, SDK_UPLOAD), (sys.executable, OUR_UPLOAD), (sys.executable, OUR_UPLOAD)):
            command = [python, "-W", "ignore", "-c", code, photos, "bench", Path(python).parents[1].name]
            done = subprocess.run(
                command, env=emulator.environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
            )
            times.append(float(done.stdout.split()[-1]))
    sdk, first, again = times
    yield Figure("SDK v2's upload_data, s", sdk)
    yield Figure("byoc data upload, s", first)
    yield Figure("upload_data / byoc data upload", sdk / first, at_least=5)
    yield Figure("byoc data upload, the second time, s", again, at_most=15)
