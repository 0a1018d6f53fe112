"""What a job costs that the emulator runs: the wait of SDK v2's fit() behind its end, and tuning against `byoc tune`."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.emulator_process import Figure, emulating, small_programs
from benchmarks.machine import ROOT
from train.config import OBJECTIVE, TUNING_RANGES

SDK = ROOT / ".venv-sdk" / "bin" / "python"
SAMPLES = ROOT / "data" / "samples"
BIN = Path(sys.executable).parent
HOLD = ("--hold", "20")
BACKBONE = "timm/tf_efficientnet_lite0"
TRIALS, PARALLEL = 8, 2
# SDK v2's own fit(), unchanged; the job's program prints when it ends.
FIT = """
import sys, time
import sagemaker
from sagemaker.estimator import Estimator

metric = [{"Name": "ended", "Regex": "ended=([0-9.]+)"}]
estimator = Estimator("byoc-classifier-train", sagemaker.get_execution_role(), 1, "ml.m5.large", metric_definitions=metric)
estimator.fit(logs=sys.argv[1] == "logs")
end = time.time()
job = estimator.latest_training_job.describe()
print("waited", end - job["FinalMetricDataList"][0]["Value"])
"""
# The ranges of `byoc tune`, by the SDK's tuner; argv: photos, ranges as JSON, objective, expression, backbone, jobs, parallel.
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
searched = {
    name: CategoricalParameter(list(entry["choices"]))
    if "choices" in entry
    else ContinuousParameter(entry["low"], entry["high"], scaling_type="Logarithmic")
    for name, entry in json.loads(ranges).items()
}
metric = [{"Name": objective, "Regex": objective + "=([-+0-9.e]+)"}]
tuner = HyperparameterTuner(
    estimator, objective, searched, metric, max_jobs=int(jobs), max_parallel_jobs=int(parallel)
)
began = time.time()
tuner.fit({"training": channel})
print("tuned", time.time() - began, tuner.describe()["TrainingJobStatusCounters"]["Completed"])
"""


def fit(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """From the end of a job's program to the end of the SDK's fit(), archive and upload included."""
    figures = []
    for shown, hold, target in (("", (), 12.0), (", with --hold", HOLD, 1.0)):
        for name, logs in (("fit(logs=False)", "quiet"), ("fit()", "logs")):
            waits = [_waited(folder, logs, *hold) for _ in range(options.rounds)]
            figures.append(
                Figure(
                    name=f"a 5-s job's end to the end of {name}{shown}", value=median(waits), unit="s", target=target
                )
            )
    return figures


def tuning(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """The same search by `byoc tune`, whose trials share their features, and by the SDK's tuner, whose jobs share nothing."""
    ranges = json.dumps(TUNING_RANGES)
    arguments = [str(options.photos), ranges, OBJECTIVE, BACKBONE, str(TRIALS), str(PARALLEL)]
    ours, theirs = [], []
    for number in range(options.rounds):
        place = folder / str(number)
        tune = [BIN / "byoc", "tune", "--data", options.photos, "--backbone", BACKBONE, "--trials", str(TRIALS)]
        tune += ["--out", place / "tune", "--feature-cache", place / "features"]
        start = time.perf_counter()
        subprocess.run(tune, check=True, stdout=subprocess.DEVNULL)
        theirs.append(time.perf_counter() - start)
        words = _last_words(place, TUNE, arguments, BIN, "--jobs", str(PARALLEL), *HOLD)
        if int(words[2]) != TRIALS:
            raise RuntimeError(f"{words[2]} of {TRIALS} training jobs of the tuner are Completed")
        ours.append(float(words[1]))
    return [
        Figure(f"byoc tune of {TRIALS} trials, median", median(theirs), "s"),
        Figure(f"tuning job of {TRIALS}, {PARALLEL} in parallel, median", median(ours), "s"),
        Figure(name="tuning job: time against byoc tune", value=median(ours) / median(theirs), unit="x", target=1.3),
    ]


def _waited(folder: Path, logs: str, *options: str) -> float:
    return float(_last_words(folder, FIT, [logs], small_programs(folder), *options)[1])


def _last_words(folder: Path, code: str, arguments: list[str], programs: Path, *options: str) -> list[str]:
    """Run a program of the SDK beside an emulator of its own and return the words of its last line."""
    if not SDK.exists():
        raise RuntimeError(f"{SDK} is missing; make it: make .venv-sdk/.ready")
    shutil.rmtree(folder / "data", ignore_errors=True)
    command: list[Any] = [*emulating(folder, programs, *options), "--", SDK, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the SDK's program ended with status {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout.splitlines()[-1].split()
