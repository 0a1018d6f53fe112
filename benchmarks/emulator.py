"""What the local SageMaker costs: start, memory, S3, invocations, and the wait of a client for its job's end.

    python -m benchmarks.emulator [--s3-mb N] [--objects N] [--invocations N] [--rounds N] [--only PART]

Nothing of our two programs is measured: a job is a program that sleeps for 1 s, an endpoint one that answers at once.
TMPDIR says where the objects go; they take --s3-mb twice there.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree

from benchmarks import loopback
from benchmarks.emulator_process import FAKE, Emulator, ask, emulate
from benchmarks.machine import describe, summary, write_results

OBJECT = 64_000_000  # bytes of a large object
BODY = os.urandom(110_000)  # of an invocation: as many bytes as a photo of 500 x 375
ROLE = "arn:aws:iam::123456789012:role/service-role/local"
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
HOLD = "20"
QUIET, LOUD = 5.0, 30.0  # seconds between two looks of SDK v2's fit(logs=False) and fit()
PAUSE = 10.0  # that fit() makes once more behind the job's end, for its last lines


@dataclass(frozen=True)
class Figure:
    """One measured value; `target` is what it should reach."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True

    def __str__(self) -> str:
        aim = "" if self.target is None else f"  ({'at most' if self.at_most else 'at least'} {self.target:g})"
        return f"{self.name:62} {self.value:10.2f} {self.unit}{aim}"


def main() -> int:
    """Measure, print the figures and write results/emulator.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulator", description="Measure the local SageMaker.")
    parser.add_argument("--s3-mb", type=int, default=256, metavar="N", help="put into S3 (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=2000, help="small ones, listed (default: %(default)s)")
    parser.add_argument("--invocations", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of starts, listings and jobs (default: %(default)s)")
    parser.add_argument("--only", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= FAKE
    machine = describe()
    print(f"{summary(machine)}\n")
    figures: list[Figure] = []
    for name in [options.only] if options.only else PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-emulator-") as folder:
            found = PARTS[name](Path(folder), options)
        print("\n".join(map(str, found)), flush=True)
        figures += found
    settings = {name: value for name, value in vars(options).items() if value is not None}
    write_results("emulator", {"machine": machine, "settings": settings, "figures": [asdict(each) for each in figures]})
    return 0


def _start(folder: Path, options: argparse.Namespace) -> list[Figure]:
    starts, memory = [], []
    for _ in range(options.rounds):
        with emulate(folder) as emulator:
            starts.append(emulator.seconds)
            memory.append(emulator.memory())
    return [
        Figure("start to the first answer, median", median(starts), "s", 3),
        Figure("idle memory, median", median(memory), "MB", 200),
    ]


def _s3(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Put, get and list, each beside a bare copy over the loopback interface from memory to a file, and back."""
    content, count = os.urandom(OBJECT), max(1, options.s3_mb * 1_000_000 // OBJECT)
    puts, gets, bare_puts, bare_gets = [], [], [], []
    with emulate(folder) as emulator:
        emulator.s3("PUT", "/bench")
        for number in range(count):
            bare_puts.append(_seconds(lambda: loopback.put(content, folder / "bare")))
            puts.append(_seconds(lambda key=number: emulator.s3("PUT", f"/bench/large/{key}", content)))  # type: ignore[misc]
        for number in range(count):
            bare_gets.append(_seconds(lambda: loopback.get(folder / "bare", OBJECT)))
            gets.append(_seconds(lambda key=number: emulator.s3("GET", f"/bench/large/{key}")))  # type: ignore[misc]
        for number in range(options.objects):
            emulator.s3("PUT", f"/bench/small/{number:07d}", b"1")
        lists = [_seconds(lambda: _list(emulator, options.objects)) for _ in range(options.rounds)]
        memory, most = emulator.memory(), emulator.memory("VmHWM")
    stored = count * OBJECT / 1e9
    rate = OBJECT / 1e6
    return [
        Figure("put over plain HTTP, median", rate / median(puts), "MB/s", 300, at_most=False),
        Figure("put: time against a bare copy", median(puts) / median(bare_puts), "x"),
        Figure("get over plain HTTP, median", rate / median(gets), "MB/s", 300, at_most=False),
        Figure("get: time against a bare copy", median(gets) / median(bare_gets), "x"),
        Figure("objects listed, median", options.objects / median(lists), "/s", 2000, at_most=False),
        Figure(f"memory with {stored:.2f} GB in S3", memory, "MB", 200),
        Figure("the most that it was meanwhile", most, "MB"),
    ]


def _invocation(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Invoke an endpoint, and ask its container directly, in turns; each on a connection of its own."""
    headers = {"Content-Type": "image/jpeg"}
    through, direct = [], []
    with emulate(folder) as emulator:
        port = _endpoint(folder, emulator)
        for number in range(-10, options.invocations):
            one = _seconds(lambda: ask(port, "POST", "/invocations", BODY, headers))
            two = _seconds(lambda: ask(emulator.port, "POST", "/endpoints/bench/invocations", BODY, headers))
            if number >= 0:
                direct.append(1000 * one)
                through.append(1000 * two)
    added = median(through) - median(direct)
    return [
        Figure("the container's own answer, median", median(direct), "ms"),
        Figure("added by an invocation through the emulator, median", added, "ms", 5),
    ]


def _job(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """From the end of a job's program to the end of a client that waits as SDK v2's fit does, archive and upload included."""
    figures = []
    for shown, hold in (("", ()), (", with --hold", ("--hold", HOLD))):
        shutil.rmtree(folder / "data", ignore_errors=True)
        with emulate(folder, *hold) as emulator:
            emulator.s3("PUT", "/bench")
            for number, (every, last, name) in enumerate(((QUIET, 0.0, "fit(logs=False)"), (LOUD, PAUSE, "fit()"))):
                waits = [
                    _wait(emulator, f"job-{number}-{again}", every, last)
                    for again in range(options.rounds if hold or not last else 1)
                ]
                target = 1.0 if hold else 12.0 if not last else None
                figures.append(Figure(f"a 1-s job's end to the end of {name}{shown}", median(waits), "s", target))
    return figures


def _wait(emulator: Emulator, name: str, every: float, last: float) -> float:
    """Run a job, look at it every so many seconds, and return the seconds from its program's end to the client's."""
    client = emulator.client("sagemaker")
    client.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "byoc-classifier-train",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "ended", "Regex": "ended=([0-9.]+)"}],
        },
        OutputDataConfig={"S3OutputPath": "s3://bench/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    first = True
    while True:
        job: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        first = False
        time.sleep(every)
    if job["TrainingJobStatus"] != "Completed":
        raise RuntimeError(f"the job {name} is {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    time.sleep(0.0 if first else last)
    return time.time() - float(job["FinalMetricDataList"][0]["Value"])


def _endpoint(folder: Path, emulator: Emulator) -> int:
    """Make the endpoint `bench` and return the port of its container."""
    archive = shutil.make_archive(str(folder / "model"), "gztar", folder / "programs")
    emulator.s3("PUT", "/bench")
    emulator.s3("PUT", "/bench/model.tar.gz", Path(archive).read_bytes())
    client = emulator.client("sagemaker")
    container = {"Image": "byoc-classifier-serve", "ModelDataUrl": "s3://bench/model.tar.gz"}
    client.create_model(ModelName="bench", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": "bench", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName="bench", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="bench", EndpointConfigName="bench")
    client.get_waiter("endpoint_in_service").wait(EndpointName="bench", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return int(ask(emulator.port, "POST", "/endpoints/bench/invocations", BODY, {}))


def _list(emulator: Emulator, count: int) -> None:
    found, token = 0, ""
    while True:
        page = ElementTree.fromstring(emulator.s3("GET", f"/bench?list-type=2&prefix=small/{token}"))
        found += len(page.findall(f"{XML}Contents"))
        more = page.findtext(f"{XML}NextContinuationToken")
        if more is None:
            break
        token = f"&continuation-token={more}"
    if found != count:
        raise RuntimeError(f"{found} objects were listed, and {count} were put")


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Figure]]] = {
    "start": _start,
    "s3": _s3,
    "invocation": _invocation,
    "job": _job,
}

if __name__ == "__main__":
    sys.exit(main())
