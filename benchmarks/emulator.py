"""What the local SageMaker costs, and how fast `byoc` is with it.

    python -m benchmarks.emulator [--part start,s3,...] [sizes, which --help lists]

Nothing of our two programs is measured but in the part `tuning`: a job is a program that sleeps for 5 s, an endpoint one that answers
at once. TMPDIR says where the objects go; they take --s3-mb there.
"""

import os
import sys
from collections.abc import Iterator
from statistics import median
from xml.etree import ElementTree

from benchmarks import driver, emulator_jobs, parts
from benchmarks.emulator_jobs import SAMPLES
from benchmarks.emulator_process import Emulator, ask, emulate, forget_account, make_endpoint
from benchmarks.machine import seconds
from benchmarks.parts import Figure, Options

OBJECT = 64_000_000  # bytes of a large object
BODY = os.urandom(110_000)  # of an invocation: as many bytes as a photo of 500 x 375
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
OPTIONS = {
    "s3-mb": (256, "put into S3"),
    "objects": (2000, "small ones, listed"),
    "invocations": (200, "of an endpoint"),
    "rounds": (3, "of starts, listings and jobs"),
    "photos": (SAMPLES, "tuned on"),
    "sent": (8400, "files that are uploaded"),
}


def _start(options: Options) -> Iterator[Figure]:
    starts, memory = [], []
    for _ in range(options.rounds):
        with emulate() as emulator:
            starts.append(emulator.seconds)
            memory.append(emulator.memory())
    yield Figure.of("start to the first answer, s", starts, at_most=3)
    yield Figure.of("idle memory, MB", memory, at_most=200)


def _s3(options: Options) -> Iterator[Figure]:
    content, size = os.urandom(OBJECT), OBJECT / 1e6
    keys = [f"/bench/large/{number}" for number in range(max(1, options.s3_mb * 1_000_000 // OBJECT))]
    with emulate() as emulator:
        emulator.s3("PUT", "/bench")
        puts = [size / seconds(emulator.s3, "PUT", key, content) for key in keys]
        yield Figure.of("put over plain HTTP, MB/s", puts, at_least=300)
        gets = [size / seconds(emulator.s3, "GET", key) for key in keys]
        yield Figure.of("get over plain HTTP, MB/s", gets, at_least=300)
        for number in range(options.objects):
            emulator.s3("PUT", f"/bench/small/{number:07d}", b"1")
        listed = [options.objects / seconds(_list, emulator, options.objects) for _ in range(options.rounds)]
        yield Figure.of("objects listed a second", listed, at_least=2000)
        yield Figure(f"memory with {len(keys) * size / 1000:.2f} GB in S3, MB", emulator.memory(), at_most=200)


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


def _invocation(options: Options) -> Iterator[Figure]:
    """Invoke an endpoint, and ask its container directly, in turns; each on a connection of its own."""
    headers = {"Content-Type": "image/jpeg"}
    through, direct = [], []
    with emulate() as emulator:
        port = make_endpoint(emulator)["port"]
        for number in range(-10, options.invocations):
            one = 1000 * seconds(ask, f"http://127.0.0.1:{port}/invocations", BODY, headers)
            two = 1000 * seconds(ask, f"{emulator.url}/endpoints/bench/invocations", BODY, headers)
            if number >= 0:
                direct.append(one)
                through.append(two)
    yield Figure.of("the container's own answer, ms", direct)
    yield Figure("added by an invocation through the emulator, ms", median(through) - median(direct), at_most=5)


PARTS: dict[str, parts.Part] = {
    "start": _start,
    "s3": _s3,
    "invocation": _invocation,
    "job": emulator_jobs.fit,
    "tuning": emulator_jobs.tuning,
    "driver": driver.measure,
    "upload": driver.upload,
}

if __name__ == "__main__":
    forget_account()
    sys.exit(parts.main("emulator", PARTS, OPTIONS))
