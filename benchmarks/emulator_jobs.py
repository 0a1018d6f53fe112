"""What a job costs that the emulator runs: the wait of SDK v2's fit() behind its end, and tuning against `byoc tune`."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.emulator_process import BYOC, emulating
from benchmarks.machine import ROOT, NotRun
from benchmarks.parts import Figure, Options
from train.config import OBJECTIVE, TUNING_RANGES

SDK = ROOT / ".venv-sdk" / "bin" / "python"
SAMPLES = ROOT / "data" / "samples"
HOLD = ("--hold", "20")
BACKBONE = "timm/tf_efficientnet_lite0"
TRIALS, PARALLEL = 8, 2
# SDK v2's own fit(), unchanged; the job's program prints when it ends. Both programs print seconds last.
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
# The ranges of `byoc tune`, by the SDK's tuner; argv: photos, ranges as JSON, objective, backbone, jobs, parallel.
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
took = time.time() - began
counts = tuner.describe()["TrainingJobStatusCounters"]
assert counts["Completed"] == int(jobs), counts
print(took)
"""


def fit(options: Options) -> Iterator[Figure]:
    """From the end of a job's program to the end of the SDK's fit(), archive and upload included."""
    for shown, hold, target in (("", (), 12), (", with --hold", HOLD, 1)):
        waits = [_last_number(FIT, [], *hold) for _ in range(options.rounds)]
        yield Figure.of(f"a 5-s job's end to the end of fit(){shown}, s", waits, at_most=target)


def tuning(options: Options) -> Iterator[Figure]:
    """The same search by `byoc tune`, whose trials share their features, and by the SDK's tuner, whose jobs share nothing."""
    arguments = [str(options.photos), json.dumps(TUNING_RANGES), OBJECTIVE, BACKBONE, str(TRIALS), str(PARALLEL)]
    ours, tuner = [], []
    for _ in range(options.rounds):
        with TemporaryDirectory(prefix="bench-tune-") as name:
            tune = [BYOC, "tune", "--data", options.photos, "--backbone", BACKBONE, "--trials", str(TRIALS)]
            tune += ["--out", f"{name}/tune", "--feature-cache", f"{name}/features"]
            start = time.perf_counter()
            subprocess.run(tune, check=True, stdout=subprocess.DEVNULL)
            ours.append(time.perf_counter() - start)
        programs = ("--programs", str(Path(BYOC).parent), "--jobs", str(PARALLEL))
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
