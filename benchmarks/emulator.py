"""What the local SageMaker costs: start, memory, S3, invocations, and the wait of a client for its job's end.

    python -m benchmarks.emulator [--s3-mb N] [--objects N] [--invocations N] [--rounds N] [--photos DIR] [--only PART]

Nothing of our two programs is measured but in the part `tuning`: a job is a program that sleeps for 5 s, an endpoint one that answers
at once. TMPDIR says where the objects go; they take --s3-mb there.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

from benchmarks import loopback
from benchmarks.emulator_jobs import SAMPLES, fit, tuning
from benchmarks.emulator_process import ROLE, Emulator, Figure, ask, emulate, forget_account
from benchmarks.machine import describe, summary, write_results

OBJECT = 64_000_000  # bytes of a large object
BODY = os.urandom(110_000)  # of an invocation: as many bytes as a photo of 500 x 375
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def main() -> int:
    """Measure, print the figures and write results/emulator.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulator", description="Measure the local SageMaker.")
    parser.add_argument("--s3-mb", type=int, default=256, metavar="N", help="put into S3 (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=2000, help="small ones, listed (default: %(default)s)")
    parser.add_argument("--invocations", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of starts, listings and jobs (default: %(default)s)")
    parser.add_argument("--photos", type=Path, default=SAMPLES, metavar="DIR", help="tuned on (default: %(default)s)")
    parser.add_argument("--only", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    options = parser.parse_args()
    forget_account()
    machine = describe()
    print(f"{summary(machine)}\n")
    figures: list[Figure] = []
    for name in [options.only] if options.only else PARTS:
        with tempfile.TemporaryDirectory(prefix="bench-emulator-") as folder:
            found = PARTS[name](Path(folder), options)
        print("\n".join(map(str, found)), flush=True)
        figures += found
    settings = {name: str(value) if name == "photos" else value for name, value in vars(options).items() if value}
    write_results("emulator", {"machine": machine, "settings": settings, "figures": [asdict(each) for each in figures]})
    return 0


def _start(folder: Path, options: argparse.Namespace) -> list[Figure]:
    starts, memory = [], []
    for _ in range(options.rounds):
        with emulate(folder) as emulator:
            starts.append(emulator.seconds)
            memory.append(emulator.memory())
    return [
        Figure(name="start to the first answer, median", value=median(starts), unit="s", target=3),
        Figure(name="idle memory, median", value=median(memory), unit="MB", target=200),
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
        Figure(name="put over plain HTTP, median", value=rate / median(puts), unit="MB/s", target=300, at_most=False),
        Figure("put: time against a bare copy", median(puts) / median(bare_puts), "x"),
        Figure(name="get over plain HTTP, median", value=rate / median(gets), unit="MB/s", target=300, at_most=False),
        Figure("get: time against a bare copy", median(gets) / median(bare_gets), "x"),
        Figure(
            name="objects listed, median", value=options.objects / median(lists), unit="/s", target=2000, at_most=False
        ),
        Figure(name=f"memory with {stored:.2f} GB in S3", value=memory, unit="MB", target=200),
        Figure("the most that it was meanwhile", most, "MB"),
    ]


def _invocation(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Invoke an endpoint, and ask its container directly, in turns; each on a connection of its own."""
    headers = {"Content-Type": "image/jpeg"}
    through, direct = [], []
    with emulate(folder) as emulator:
        port = int(make_endpoint(folder, emulator))  # its program answers with it
        for number in range(-10, options.invocations):
            one = _seconds(lambda: ask(port, "POST", "/invocations", BODY, headers))
            two = _seconds(lambda: ask(emulator.port, "POST", "/endpoints/bench/invocations", BODY, headers))
            if number >= 0:
                direct.append(1000 * one)
                through.append(1000 * two)
    added = median(through) - median(direct)
    return [
        Figure("the container's own answer, median", median(direct), "ms"),
        Figure(name="added by an invocation through the emulator, median", value=added, unit="ms", target=5),
    ]


def make_endpoint(folder: Path, emulator: Emulator) -> bytes:
    """Make the endpoint `bench` and return its first answer."""
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
    return ask(emulator.port, "POST", "/endpoints/bench/invocations", BODY, {})


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
    "job": fit,
    "tuning": tuning,
}

if __name__ == "__main__":
    sys.exit(main())
