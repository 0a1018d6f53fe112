"""How long `byoc` takes before it does what it was asked for: its help, a prediction by an endpoint, a job through SDK v2.

    python -m benchmarks.driver [--rounds N]

The account is the local SageMaker, whose endpoint answers at once and whose job is a program that sleeps.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.emulator import make_endpoint
from benchmarks.emulator_jobs import SAMPLES
from benchmarks.emulator_process import FAKE, ROLE, SERVE, Emulator, Figure, ask, emulate, small_programs
from benchmarks.machine import describe, summary, write_results

BYOC = str(Path(sys.executable).parent / "byoc")
SETTINGS = f"""\
region = "us-east-1"
role = "{ROLE}"
bucket = "bench"

[images]
train = "byoc-classifier-train:cpu"

[instances]
train = ["ml.m5.large"]
"""
# What the endpoint answers, as `serve` does.
ANSWER = """'{"predictions": [{"label": "beagle", "probability": 0.9}]}'"""


def main() -> int:
    """Measure, print the figures and write results/driver.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description="Measure the command byoc.")
    parser.add_argument("--rounds", type=int, default=9, help="medians of so many (default: %(default)s)")
    rounds = parser.parse_args().rounds
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= FAKE
    machine = describe()
    print(f"{summary(machine)}\n")
    with tempfile.TemporaryDirectory(prefix="bench-driver-") as name:
        folder = Path(name)
        (small_programs(folder) / "serve").write_text(f"#!{sys.executable}\n{SERVE.replace('str(port)', ANSWER)}")
        (folder / "byoc.toml").write_text(SETTINGS)
        with emulate(folder) as emulator:
            os.environ["AWS_ENDPOINT_URL"] = emulator.url
            figures = [_help(folder, rounds), _predict(folder, emulator, rounds), _train(folder, emulator, rounds)]
    print("\n".join(map(str, figures)))
    write_results("driver", {"machine": machine, "rounds": rounds, "figures": [asdict(each) for each in figures]})
    return 0


def _help(folder: Path, rounds: int) -> Figure:
    return Figure(
        name="byoc --help, median",
        value=median(_seconds(folder, "--help") for _ in range(rounds)),
        unit="s",
        target=0.3,
    )


def _predict(folder: Path, emulator: Emulator, rounds: int) -> Figure:
    """Time a prediction, less what the same request takes by itself."""
    make_endpoint(folder, emulator)
    photo = next(SAMPLES.glob("test/*/*.jpg"))
    added = []
    for _ in range(rounds):
        whole, start = _seconds(folder, "predict", "--endpoint", "bench", "--json", str(photo)), time.perf_counter()
        ask(emulator.port, "POST", "/endpoints/bench/invocations", photo.read_bytes(), {"Content-Type": "image/jpeg"})
        added.append(whole - (time.perf_counter() - start))
    return Figure(
        name="byoc predict --endpoint, besides the request, median", value=median(added), unit="s", target=0.6
    )


def _train(folder: Path, emulator: Emulator, rounds: int) -> Figure:
    """Time `byoc train` through SDK v2 from its start to the job's creation, its check and plan included."""
    for split in ("train", "validation"):
        emulator.s3("PUT", f"/bench/photos/{split}/beagle/1.jpg", b"1")
    took = []
    for number in range(rounds):
        start = time.time()
        options = ["--on", "sagemaker", "--sender", "sdk", "--yes", "--detach", "--name", f"bench-{number}"]
        _seconds(folder, "train", "--data", "s3://bench/photos/", *options)
        job = emulator.client("sagemaker").describe_training_job(TrainingJobName=f"bench-{number}")
        took.append(job["CreationTime"].timestamp() - start)
    return Figure(
        name="byoc train through SDK v2, to the job's creation, median", value=median(took), unit="s", target=4
    )


def _seconds(folder: Path, *words: str) -> float:
    start = time.perf_counter()
    done = subprocess.run([BYOC, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"byoc {' '.join(words)} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1000:]}"
        )
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
