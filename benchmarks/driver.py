"""Parts of benchmarks.emulator on `byoc`: how long it takes before it does what it was asked for, and its upload against SDK v2's.

The account is the local SageMaker, whose endpoint answers at once and whose job is a program that sleeps.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.emulator_jobs import SAMPLES, SDK
from benchmarks.emulator_process import BYOC, ROLE, ask, emulate, make_endpoint
from benchmarks.machine import ROOT, seconds
from benchmarks.parts import Figure, Options

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


def measure(options: Options) -> Iterator[Figure]:
    """Time `byoc --help`, a prediction less what the same request takes by itself, and `byoc train` to the job's creation."""
    photo, headers = next(SAMPLES.glob("test/*/*.jpg")), {"Content-Type": "image/jpeg"}
    helps, predictions, creations = [], [], []
    with emulate() as emulator:
        (emulator.folder / "byoc.toml").write_text(SETTINGS)

        def byoc(*words: str) -> None:
            environment = os.environ | {"AWS_ENDPOINT_URL": emulator.url}
            subprocess.run([BYOC, *words], cwd=emulator.folder, env=environment, check=True, stdout=subprocess.DEVNULL)

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

    Each is a process of its own, and its imports are not timed; neither is the check of the photos, which upload_data lacks.
    """
    times = []
    with emulate() as emulator:
        photos = emulator.folder / "photos"
        for number in range(options.sent):
            path = photos / f"class-{number % 20:02d}" / f"photo {number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SENT_BYTES))
        emulator.client("s3").create_bucket(Bucket="bench")
        environment = os.environ | {"AWS_ENDPOINT_URL": emulator.url}
        for python, code in ((SDK, SDK_UPLOAD), (sys.executable, OUR_UPLOAD), (sys.executable, OUR_UPLOAD)):
            command = [python, "-W", "ignore", "-c", code, photos, "bench", Path(python).parents[1].name]
            done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
            times.append(float(done.stdout.split()[-1]))
    sdk, first, again = times
    yield Figure("SDK v2's upload_data, s", sdk)
    yield Figure("byoc data upload, s", first)
    yield Figure("upload_data / byoc data upload", sdk / first, at_least=5)
    yield Figure("byoc data upload, the second time, s", again, at_most=15)
