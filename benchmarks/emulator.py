"""Measures the time and memory of the local SageMaker, and the speed of `byoc` with it.

    python -m benchmarks.emulator [--part start,s3,...] [sizes, which --help lists]

A job is a program that sleeps for 5 s, and an endpoint is a program that answers at once. Only the part `tuning` runs our training
program. The S3 objects are stored in TMPDIR and take --s3-mb megabytes there.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median

from benchmarks import clients, parts
from benchmarks.emulator_process import Emulator, ask, emulate, forget_account, make_endpoint
from benchmarks.machine import in_turns, seconds
from benchmarks.parts import Figure, Options

OBJECT = 64_000_000  # bytes of a large object
BODY = os.urandom(110_000)  # the body of an invocation, as large as a photo of 500 x 375 pixels
OPTIONS = {
    "s3-mb": (256, "megabytes that are put into S3"),
    "objects": (2000, "number of small objects that are listed"),
    "invocations": (200, "number of invocations"),
    "rounds": (3, "number of starts, listings and jobs"),
    "photos": (clients.SAMPLES, "folder of photos for the part tuning"),
    "sent": (8400, "number of uploaded files"),
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
    """List the small objects in pages of 1,000. Each page begins after the last key of the page before."""
    for start in range(0, count, 1000):
        page = emulator.s3("GET", f"/bench?list-type=2&prefix=small/&start-after=small/{start - 1:07d}")
        listed, expected = page.count(b"<Contents>"), min(1000, count - start)
        if listed != expected:
            raise RuntimeError(f"a page lists {listed} objects instead of {expected}")


def _invocation(options: Options) -> Iterator[Figure]:
    """In turns, invoke an endpoint and send the same request to its container directly. Each request has its own connection."""
    headers = {"Content-Type": "image/jpeg"}
    with emulate() as emulator:
        direct = f"http://127.0.0.1:{make_endpoint(emulator)['port']}/invocations"
        through = f"{emulator.url}/endpoints/bench/invocations"
        ways = {url: partial(ask, url, BODY, headers) for url in (direct, through)}
        in_turns(ways, 10)
        taken = in_turns(ways, options.invocations)
    own = Figure.of("the container's own answer, ms", [1000 * each for each in taken[direct]])
    yield own
    added = 1000 * median(taken[through]) - own.value
    yield Figure("added by an invocation through the emulator, ms", added, at_most=5)


PARTS: dict[str, parts.Part] = {
    "start": _start,
    "s3": _s3,
    "invocation": _invocation,
    "job": clients.fit,
    "tuning": clients.tuning,
    "driver": clients.driver,
    "upload": clients.upload,
}

if __name__ == "__main__":
    forget_account()
    sys.exit(parts.main("emulator", PARTS, OPTIONS))
