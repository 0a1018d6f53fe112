"""The parts request-... of benchmarks.serve: where the time of a request goes when our server alone is under load.

All times are processor time, in milliseconds a request; "all cores" is the time by the clock, times the cores.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import limit, servers
from benchmarks.load import inputs, load
from benchmarks.parts import Figure, Options
from benchmarks.servers import ROLES, Running
from serve.prepare import prepare

CLIENTS = 4
PROCESSES = (*ROLES, "wrk")
# Decoding and the forward pass together. In turns, neither finds its code and data in the caches as it left them.
IN_TURNS, BUSY = "both in turns, as in a worker", "both in turns, on every core at once"
Row = dict[str, float]  # by name of the figure


def where(options: Options, artifact: Path, kind: str) -> Iterator[Figure]:
    """Load our server with photos of a kind; yield the figures of each step and process, medians over the rounds."""
    work, rows = options.work / f"request-{artifact.parent.name}-{kind}", []
    photos = inputs(options.folder, kind, options.work / kind, options.large)
    backend = prepare(artifact, work / "prepared", "auto").name
    first = Path(photos.read_text().splitlines()[0]).read_bytes()
    with servers.running(servers.ours(artifact), first, work) as server:
        load(server.server, photos, CLIENTS, options.seconds)  # the first seconds after a start are slower
        for _ in range(options.rounds):
            row = _computation(artifact, photos, backend) | _served(server, photos, options.seconds)
            row["share of the limit"] = row["requests/s"] / row["limit, requests/s"]
            row["workers beside the computation"] = row["workers"] - row[BUSY]
            row["all cores beside these processes"] = row["all cores"] - sum(row[name] for name in PROCESSES)
            rows.append(row)
    for name in rows[0]:
        yield Figure.of(name, [row[name] for row in rows])


def _computation(artifact: Path, photos: Path, backend: str) -> Row:
    """Return the times of one thread that only decodes and computes, and the limit that follows from them."""
    cores = len(os.sched_getaffinity(0))

    def measure(_: int = 0) -> Row:
        times = limit.measure(artifact, photos, [backend, limit.IN_TURNS], rounds=1)
        return {name: taken for name, (taken,) in times.items()}

    alone = measure()
    with ThreadPoolExecutor(cores) as pool:
        busy = [one[limit.IN_TURNS] for one in pool.map(measure, range(cores))]
    return {
        "limit, requests/s": 1000 * cores / (alone[limit.DECODE] + alone[backend]),
        "decoding": alone[limit.DECODE],
        "forward pass": alone[backend],
        IN_TURNS: alone[limit.IN_TURNS],
        BUSY: sum(busy) / cores,
    }


def _served(server: Running, photos: Path, seconds: float) -> Row:
    """Load the server; return its requests a second, and the times of all cores and of each process."""
    before = _used(server)
    found = load(server.server, photos, CLIENTS, seconds)
    requests = found["requests"] + found["warm_requests"]
    row = {name: 1000 * (used - before[name]) / requests for name, used in _used(server).items()}
    cores = len(os.sched_getaffinity(0))
    return {"requests/s": found["requests/s"], "all cores": 1000 * cores / found["requests/s"], **row}


def _used(server: Running) -> Row:
    """Return the processor time so far of each role, and of what this program started and has ended, as wrk has."""
    here = os.times()
    return server.cpu_seconds() | {"wrk": here.children_user + here.children_system}
