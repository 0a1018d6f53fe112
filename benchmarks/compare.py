"""Parts of benchmarks.serve: every server under load with one model and one kind of photo, and one thread's limit beside ours."""

import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks import limit, servers
from benchmarks.load import inputs, load
from benchmarks.machine import NotRun
from benchmarks.parts import Figure, Options
from benchmarks.servers import OURS, ROLES, Running, Server
from serve.prepare import prepare

QUIET_SECONDS = 60.0
Rows = dict[str, list[dict[str, float]]]  # by server and number of clients


def compare(options: Options, artifact: Path, part: str) -> Iterator[Figure]:
    """Load every server with the photos that the part's name ends with; raises NotRun without the Python that has the peers."""
    python, work, kind = options.peers_python.absolute(), options.work / part, part.rpartition("-")[2]
    if not python.exists():
        raise NotRun(f"{python} is missing; make it with bash requirements/setup_peers.sh")
    photos = inputs(options.folder, kind, options.work / kind, options.large)
    backend = prepare(artifact, work / "prepared", "auto").name
    wanted = [servers.ours(artifact), *servers.peers(artifact, work / "prepared", python, work)]
    rows: Rows = defaultdict(list)
    with _running(wanted, work, Path(photos.read_text().splitlines()[0]).read_bytes()) as running:
        for server in running:  # the first seconds after a start are slower, those of Java most of all
            with contextlib.suppress(NotRun):
                load(server.server, photos, 4, options.seconds)
        for _ in range(options.rounds):
            for server in running:
                _until_quiet(running)
                # Just before ours, so that the machine is as fast for both.
                limits = {"limit": _limit(artifact, photos, backend)} if server.server.name == OURS else {}
                _measure(server, photos, 4, options.seconds, rows, limits)
            _until_quiet(running)
            _measure(running[0], photos, 1, options.seconds, rows, {})
    yield from _figures(rows, backend)


def _figures(rows: Rows, backend: str) -> Iterator[Figure]:
    for name, own in rows.items():
        for key in ("requests/s", "p50", "p95", "p99"):  # the percentiles in ms
            yield Figure.of(f"{name}: {key}", [row[key] for row in own])
        yield Figure(f"{name}: errors", sum(row["errors"] for row in own))
        for role in ROLES:
            yield Figure(f"{name}: processor time of {role}, ms a request", _milliseconds(own, role))
    ours, alone = rows[f"{OURS}, 4 clients"], rows[f"{OURS}, 1 clients"]
    yield Figure.of(f"limit with {backend}, requests/s", [row["limit"] for row in ours])
    yield Figure.of("share of the limit", [row["requests/s"] / row["limit"] for row in ours])
    # One client waits for every step, so its seconds a request are all the steps' seconds.
    share = _milliseconds(alone, "front") * median(row["requests/s"] for row in alone) / 1000
    yield Figure("front's share of a lone request's time", share)
    for name, own in rows.items():
        for key in ("requests/s", "p99") if not name.startswith(OURS) else ():
            ratio = median(row[key] for row in ours) / median(row[key] for row in own)
            yield Figure(f"{key}, ours / {name.removesuffix(', 4 clients')}", ratio)


def _milliseconds(own: list[dict[str, float]], role: str) -> float:
    """Return the processor time of a request, those of the warm-up included."""
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
    """Return the requests/s if nothing but decoding and forward pass took time."""
    times = limit.measure(artifact, photos, [backend], rounds=2)
    return 1000 * len(os.sched_getaffinity(0)) / sum(median(each) for each in times.values())


def _measure(server: Running, photos: Path, clients: int, seconds: float, rows: Rows, limits: dict[str, float]) -> None:
    """Load a server and add what it did to the rows of its name; a server that answers nothing is named and left out."""
    before = server.cpu_seconds()
    try:
        found = load(server.server, photos, clients, seconds)
    except NotRun as error:
        print(f"left out: {error}", file=sys.stderr)
        return
    cpu = {role: after - before[role] for role, after in server.cpu_seconds().items()}
    rows[f"{server.server.name}, {clients} clients"].append(found | cpu | limits)


def _until_quiet(running: list[Running]) -> None:
    """Return when no server computes: some go on for seconds with what their last clients left, at the next one's cost."""

    def computed() -> float:
        return sum(sum(server.cpu_seconds().values()) for server in running)

    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        before = computed()
        time.sleep(0.5)
        if computed() - before < 0.05:
            return
