"""Parts of benchmarks.serve that load every server with one model and one kind of photo, and measure the limit of one thread.

wrk makes the load in a closed loop: a client sends its next photo after the answer to its last photo.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile, TemporaryDirectory

from benchmarks import limit, servers
from benchmarks.machine import NotRun, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import resized
from benchmarks.servers import OURS, ROLES, Server
from serve.prepare import prepare

SCRIPT = str(Path(__file__).with_name("load.lua"))
WARM_SECONDS, QUIET_SECONDS = 2.0, 60.0
# The figures of wrk, the processor time of each role during the load in seconds, and the times of one thread in ms.
Row = dict[str, float]


def compare(options: Options, artifact: Path, kind: str, *, alone: bool) -> Iterator[Figure]:
    """Load every server, or only ours if `alone`, with photos of a kind. Raises NotRun if .venv-peers is needed and missing."""
    python = options.peers_python.absolute()
    if not alone and not python.exists():
        raise NotRun(f"{python} is missing; make it with bash requirements/setup_peers.sh")
    rows: dict[str, list[Row]] = defaultdict(list)  # rows by server and number of clients
    with TemporaryDirectory(prefix="bench-serve-") as name, contextlib.ExitStack() as stack:
        work = Path(name)
        photos = inputs(options.folder, kind, work / "photos", options.large)
        backend = prepare(artifact, work / "prepared", "auto").name
        running = []
        peers = [] if alone else servers.peers(artifact, work / "prepared", python, work)
        for server in (servers.ours(artifact), *peers):
            with _naming_failures(server):
                started = servers.running(server, photos[0].read_bytes(), work / servers.slug(server.name))
                running.append(stack.enter_context(started))
        turns = [*((server, 4) for server in running), (running[0], 1)]
        # The first round does not count: servers are slower in the first seconds after a start, Java most of all.
        for number, (server, clients) in product(range(options.rounds + 1), turns):
            _until_quiet(running)
            row: Row = {}
            # The limit is measured just before the load on our server, so that the machine is equally fast for both.
            if (server, clients) == turns[0]:
                times = limit.measure(artifact, photos, [backend], rounds=2)
                row |= {name: median(taken) for name, taken in times.items()}
                # Requests a second on all cores if only decoding and the forward pass took time.
                row["limit"] = 1000 * len(os.sched_getaffinity(0)) / (row[limit.DECODE] + row[backend])
            with _naming_failures(server):
                before = server.cpu_seconds()
                row |= load(server, photos, clients, options.seconds)
                row |= {role: after - before[role] for role, after in server.cpu_seconds().items()}
                if number:
                    rows[f"{server.name}, {clients} clients"].append(row)
    yield from _figures(rows, backend)


@contextlib.contextmanager
def _naming_failures(server: Server) -> Iterator[None]:
    """Print the name of a peer that fails in the block, and continue without it. A failure of our own server is raised."""
    try:
        yield
    except NotRun as error:
        if server.name == OURS:
            raise
        print(f"left out: {error}", file=sys.stderr)


def _figures(rows: Mapping[str, list[Row]], backend: str) -> Iterator[Figure]:
    for name, own in rows.items():
        for key in ("requests/s", "p50", "p95", "p99"):  # percentiles are in ms
            yield Figure.of(f"{name}: {key}", [row[key] for row in own])
        yield Figure(f"{name}: errors", sum(row["errors"] for row in own))
        # The processor time includes the requests of the warm-up.
        ms = 1000 / sum(row["requests"] + row["warm_requests"] for row in own)
        for role in ROLES:
            yield Figure(f"{name}: processor time of {role}, ms a request", ms * sum(row[role] for row in own))
    ours = rows[f"{OURS}, 4 clients"]
    for step in (limit.DECODE, backend, limit.IN_TURNS):
        yield Figure.of(f"one thread: {step}, ms a photo", [row[step] for row in ours])
    yield Figure.of(f"limit with {backend}, requests/s", [row["limit"] for row in ours])
    yield Figure.of("share of the limit", [row["requests/s"] / row["limit"] for row in ours])
    for name, own in rows.items():
        for key in ("requests/s", "p99") if not name.startswith(OURS) else ():
            ratio = median(row[key] for row in ours) / median(row[key] for row in own)
            yield Figure(f"{key}, ours / {name.removesuffix(', 4 clients')}", ratio)


def _until_quiet(running: list[Server]) -> None:
    """Wait until no server computes. Some servers work on their last requests for seconds, which would slow down the next server."""
    end, before = time.monotonic() + QUIET_SECONDS, float("-inf")
    while time.monotonic() < end:
        now = sum(sum(server.cpu_seconds().values()) for server in running)
        if now - before < 0.05:
            return
        before = now
        time.sleep(0.5)


def inputs(folder: Path, kind: str, target: Path, large: int) -> list[Path]:
    """Return the photos of one kind. Photos of natural size stay where they are; `large` photos of 12 megapixels, or photos of 224 px, are
    written to `target`.
    """
    paths = sorted(sample_photos(folder, sys.maxsize))
    random.Random(0).shuffle(paths)  # the order is the same for every server
    if kind == "natural":
        return paths
    target.mkdir(parents=True, exist_ok=True)
    found = []
    for number, path in enumerate(paths[: large if kind == "12mp" else None]):
        found.append(target / f"{number:03d}.jpg")
        found[-1].write_bytes(resized(path, 224 if kind == "224" else None))
    return found


def load(server: Server, photos: Sequence[Path], clients: int, seconds: float) -> Row:
    """Load a server with photos after a short warm-up. Return requests, seconds, percentiles in ms, and errors.

    Raises NotRun if wrk is missing, or the server answers nothing.
    """
    if not shutil.which("wrk"):
        raise NotRun("wrk is not installed; apt-get install wrk")
    warm = _wrk(server, photos, clients, WARM_SECONDS)
    for longer in (1, 5):  # if a slow server answers nothing in `seconds`, load it five times as long
        found = _wrk(server, photos, clients, longer * seconds)
        if found["requests"]:
            return found | {"requests/s": found["requests"] / found["seconds"], "warm_requests": warm["requests"]}
    raise NotRun(f"{server.name} answered nothing in {5 * seconds:g} s; use a larger --seconds")


def _wrk(server: Server, photos: Sequence[Path], clients: int, seconds: float) -> Row:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", SCRIPT]
    with NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.writelines(f"{path.resolve()}\n" for path in photos)
        listed.flush()
        command += [server.url, "--", listed.name, *filter(None, [server.form])]
        found: Row = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    return found
