"""Parts of benchmarks.serve that load every server with one model and one kind of photo, and measure one thread's limit.

wrk makes the load, in a closed loop: each client sends its next photo when it has the answer to the last.
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
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks import limit, servers
from benchmarks.machine import NotRun, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import resized
from benchmarks.servers import OURS, ROLES, Running, Server
from serve.prepare import prepare

SCRIPT = str(Path(__file__).with_name("load.lua"))
WARM_SECONDS, QUIET_SECONDS = 2.0, 60.0
Row = dict[str, float]  # what wrk measured, and the processor time of each role meanwhile, in seconds


def compare(options: Options, artifact: Path, part: str) -> Iterator[Figure]:
    """Load every server with photos of the kind that ends the part's name; raises NotRun if .venv-peers is missing."""
    python, work, kind = options.peers_python.absolute(), options.work / part, part.rpartition("-")[2]
    if not python.exists():
        raise NotRun(f"{python} is missing; make it with bash requirements/setup_peers.sh")
    photos = inputs(options.folder, kind, options.work / kind, options.large)
    backend = prepare(artifact, work / "prepared", "auto").name
    wanted = [servers.ours(artifact), *servers.peers(artifact, work / "prepared", python, work)]
    rows: dict[str, list[Row]] = defaultdict(list)  # by server and number of clients
    with _running(wanted, work, Path(photos.read_text().splitlines()[0]).read_bytes()) as running:
        for server in running:  # the first seconds after a start are slower, those of Java most of all
            with contextlib.suppress(NotRun):
                load(server.server, photos, 4, options.seconds)
        for _ in range(options.rounds):
            for server, clients in [*((server, 4) for server in running), (running[0], 1)]:
                _until_quiet(running)
                # Just before ours, so that the machine is as fast for both.
                limits = {"limit": _limit(artifact, photos, backend)} if (server, clients) == (running[0], 4) else {}
                try:
                    row = _measured(server, photos, clients, options.seconds) | limits
                    rows[f"{server.server.name}, {clients} clients"].append(row)
                except NotRun as error:
                    print(f"left out: {error}", file=sys.stderr)
    yield from _figures(rows, backend)


def _figures(rows: Mapping[str, list[Row]], backend: str) -> Iterator[Figure]:
    for name, own in rows.items():
        for key in ("requests/s", "p50", "p95", "p99"):  # the percentiles in ms
            yield Figure.of(f"{name}: {key}", [row[key] for row in own])
        yield Figure(f"{name}: errors", sum(row["errors"] for row in own))
        for role in ROLES:
            yield Figure(f"{name}: processor time of {role}, ms a request", _milliseconds(own, role))
    ours, alone = rows[f"{OURS}, 4 clients"], rows[f"{OURS}, 1 clients"]
    yield Figure.of(f"limit with {backend}, requests/s", [row["limit"] for row in ours])
    yield Figure.of("share of the limit", [row["requests/s"] / row["limit"] for row in ours])
    # With one client nothing overlaps, so the time of a request is the sum of the times of all steps.
    share = _milliseconds(alone, "front") * median(row["requests/s"] for row in alone) / 1000
    yield Figure("front's share of a lone request's time", share)
    for name, own in rows.items():
        for key in ("requests/s", "p99") if not name.startswith(OURS) else ():
            ratio = median(row[key] for row in ours) / median(row[key] for row in own)
            yield Figure(f"{key}, ours / {name.removesuffix(', 4 clients')}", ratio)


def _milliseconds(own: list[Row], role: str) -> float:
    """Return the processor time of a request in ms. The rows' times include the warm-up, so its requests count too."""
    return 1000 * sum(row[role] for row in own) / sum(row["requests"] + row["warm_requests"] for row in own)


@contextlib.contextmanager
def _running(wanted: list[Server], work: Path, photo: bytes) -> Iterator[list[Running]]:
    """Start every server, ours first; a peer that does not start is named and left out."""
    found = []
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(wanted)) as pool:
        contexts = [servers.running(server, photo, work / servers.slug(server.name)) for server in wanted]
        for started in [pool.submit(stack.enter_context, context) for context in contexts]:
            try:
                found.append(started.result())
            except NotRun as error:
                if not found:
                    raise
                print(f"left out: {error}", file=sys.stderr)
        yield found


def _limit(artifact: Path, photos: Path, backend: str) -> float:
    """Return how many requests a second would be possible if only decoding and the forward pass took time."""
    times = limit.measure(artifact, photos, [backend], rounds=2)
    return 1000 * len(os.sched_getaffinity(0)) / sum(median(each) for each in times.values())


def _measured(server: Running, photos: Path, clients: int, seconds: float) -> Row:
    """Load a server; return what wrk measured, and the processor time of each role meanwhile."""
    before = server.cpu_seconds()
    found = load(server.server, photos, clients, seconds)
    return found | {role: after - before[role] for role, after in server.cpu_seconds().items()}


def _until_quiet(running: list[Running]) -> None:
    """Wait until no server computes. Some go on for seconds with their last requests, which would slow the next server down."""
    end, before = time.monotonic() + QUIET_SECONDS, float("-inf")
    while time.monotonic() < end:
        now = sum(sum(server.cpu_seconds().values()) for server in running)
        if now - before < 0.05:
            return
        before = now
        time.sleep(0.5)


def inputs(folder: Path, kind: str, target: Path, large: int) -> Path:
    """Return a file that lists photos of natural size, `large` photos of 12 megapixels, or photos of 224 px, written to `target`."""
    paths = sorted(sample_photos(folder, sys.maxsize))
    random.Random(0).shuffle(paths)  # in an order that is the same for every server
    target.mkdir(parents=True, exist_ok=True)
    if kind != "natural":
        sources, paths = paths[: large if kind == "12mp" else None], []
        for number, path in enumerate(sources):
            paths.append(target / f"{number:03d}.jpg")
            paths[-1].write_bytes(resized(path, 224 if kind == "224" else None))
    listed = target / "photos.txt"
    listed.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return listed


def load(server: Server, photos: Path, clients: int, seconds: float) -> dict[str, float]:
    """Load a server with the listed photos after a short warm-up; return requests, seconds, percentiles in ms, and errors.

    Raises NotRun if wrk is missing, or the server answers nothing.
    """
    if not shutil.which("wrk"):
        raise NotRun("wrk is not installed; apt-get install wrk")
    warm = _wrk(server, photos, clients, WARM_SECONDS)
    for longer in (1, 5):  # for a server that is slower than that
        found = _wrk(server, photos, clients, longer * seconds)
        if found["requests"]:
            return found | {"requests/s": found["requests"] / found["seconds"], "warm_requests": warm["requests"]}
    raise NotRun(f"{server.name} answered nothing in {5 * seconds:g} s; load for longer")


def _wrk(server: Server, photos: Path, clients: int, seconds: float) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", SCRIPT]
    command += [server.url, "--", str(photos), *filter(None, [server.field])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
