"""What serving reaches against other servers and against one thread's limit, side by side: same artifact, photos and cores.

    python -m benchmarks.serve [FOLDER] [--peers-python PATH] [--part inception_v3,start,...] [sizes, which --help lists]

FOLDER (../shared/data/photos) holds photos of natural size; without it the sample photos serve. PATH is the Python of
.venv-peers (bash requirements/setup_peers.sh). wrk loads one server at a time, round by round. Every part is kept in
results/serve.json with its own machine and date.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import load, machine, parts, servers
from benchmarks.parts import Measured, NotRun, Ratio
from benchmarks.runs import LITE
from benchmarks.servers import OURS, STOCK, Running

CLIENTS = (1, 4, 16)
# Of the stock handler's throughput at 4 clients.
STOCK_TARGETS = {
    "inception_v3, natural": 2.9,
    "inception_v3, 12mp": 3.0,
    "lite0, natural": 2.5,
    "lite0, 12mp": 4.0,
}
LIMIT_TARGETS = {"inception_v3, natural": 0.85}
# lite0 is trained on photos of three breeds, or on the samples; lite0-1000 has its own head of 1,000 classes.
MODELS = {
    "inception_v3": ("natural", "12mp", "224"),
    "lite0": ("natural", "12mp", "224"),
    "lite0-1000": ("natural",),
}
QUIET_SECONDS = 60.0
START_SECONDS_TARGET, WORKER_MB_TARGET = 8.0, 350.0
OPTIONS = {
    "train": (Path("../shared/data/dogs"), "folder of photos on which lite0 is trained"),
    "peers-python": (Path(".venv-peers/bin/python"), "the Python that has the peers"),
    "seconds": (5.0, "of load at a time"),
    "rounds": (3, "of all servers"),
    "large": (24, "photos of 12 megapixels"),
    "artifacts": (Path(), "where the artifacts are kept, and made if absent; a temporary folder without it"),
}
Rows = dict[tuple[str, int], list[dict[str, Any]]]  # by server and number of clients


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/serve.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description="Measure serving.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/photos"), metavar="FOLDER")
    parts.add_options(parser, PARTS, OPTIONS)
    options = parser.parse_args()
    options.threads = len(os.sched_getaffinity(0))
    print(f"{machine.summary(machine.describe())}\n")
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as work:
        options.work = Path(work)
        if options.artifacts == Path():
            options.artifacts = options.work / "artifacts"
        if not options.folder.is_dir():
            from launch.samples import write_samples

            options.folder = options.train = options.work / "samples"
            write_samples(options.folder)
        parts.run("serve", PARTS, options)
    return 0


def _artifact(options: argparse.Namespace, model: str) -> Path:
    """Return the model's artifact, made where there is none yet."""
    folder: Path = options.artifacts / model
    if not (folder / "model.json").exists():
        from benchmarks import artifacts

        photos = sorted(machine.sample_photos(options.folder, 200))
        if model == "inception_v3":
            artifacts.random_weights(folder, model, photos)
        elif model == "lite0-1000":
            artifacts.imagenet_lite(folder, photos)
        else:
            artifacts.trained(folder, options.train, LITE, threads=options.threads)
    return folder


def _compare(options: argparse.Namespace, model: str, name: str) -> Measured:
    """Load every server with one model and one kind of photo."""
    from benchmarks.limit import measure, prepared

    python = options.peers_python.absolute()
    if not python.exists():
        raise NotRun(f"{python} is missing; make it with bash requirements/setup_peers.sh")
    others, artifact, work = os.getloadavg()[0], _artifact(options, model), options.work / f"{model}-{name}"
    photos = load.inputs(options.folder, options.work / "photos", large=options.large)
    backend = prepared(artifact, work / "prepared")
    fastest = sorted({backend, "openvino-bf16"} if machine.has_bf16() else {backend})
    clients = CLIENTS if name == "natural" and model != "lite0-1000" else (4,)

    def measure_limit() -> dict[str, float]:
        """Return the requests/s by backend if nothing but decoding and forward pass took time."""
        times = measure(artifact, photos[name], fastest, rounds=2, photos=len(photos[name]))
        return {key: 1000 * options.threads / (times["decode"]["median"] + times[key]["median"]) for key in fastest}

    with _all(artifact, work, python, photos["natural"][0].read_bytes()) as running:
        rows = _rounds(options, running, photos[name], clients, measure_limit)
    share = median(row["requests/s"] / row["limit"][backend] for row in rows[OURS, 4])
    limits = {key: median(row["limit"][key] for row in rows[OURS, 4]) for key in fastest}
    table = {f"{server}, {number} clients": _row(own) for (server, number), own in rows.items()}
    for server, row in table.items():
        print(f"{server:34}" + ", ".join(f"{key} {value:.4g}" for key, value in row.items() if "spread" not in key))
    settings = {"backend": backend, "seconds": options.seconds, "rounds": options.rounds, "photos": len(photos[name])}
    settings |= {"load before": others, "versions": _versions(python)}
    figures = {"medians": table, "limit_requests_s": limits}
    requests, errors = (sum(row[key] for own in rows.values() for row in own) for key in ("requests", "errors"))
    note = f"served on {backend}; {errors} errors in {requests} requests"
    return Measured(_ratios(f"{model}, {name}", table, share), settings, figures, notes=(note,))


@contextlib.contextmanager
def _all(artifact: Path, work: Path, python: Path, photo: bytes) -> Iterator[list[Running]]:
    """Start every server; what does not start is named and left out."""
    wanted = [servers.ours(artifact), *servers.peers(artifact, work / "prepared", python, work)]
    found = []
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(wanted)) as pool:
        contexts = [servers.running(server, photo, work / server.name.replace(", ", "-")) for server in wanted]
        for started in [pool.submit(stack.enter_context, context) for context in contexts]:
            try:
                found.append(started.result())
            except NotRun as error:
                print(f"left out: {error}", file=sys.stderr)
        yield found


def _rounds(
    options: argparse.Namespace,
    running: list[Running],
    photos: list[Path],
    clients: tuple[int, ...],
    measure_limit: Callable[[], dict[str, float]],
) -> Rows:
    """Load one server after another, round by round: all of them at 4 clients, at 1 and 16 ours and those as documented.

    The limit is measured just before ours at 4 clients, so that the machine is as fast for both.
    """
    rows: Rows = defaultdict(list)
    for server in running:  # the first seconds after a start are slower, those of Java most of all
        with contextlib.suppress(NotRun):
            load.load(server.server.url, photos, 4, options.seconds, server.server.field)
    for turn in range(options.rounds):
        for number in clients:
            for server in running:
                name = server.server.name
                if number != 4 and (name not in (OURS, STOCK, *servers.DOCUMENTED) or turn > 1):
                    continue
                _until_quiet(running)
                limit = measure_limit() if name == OURS and number == 4 else {}
                before = server.cpu_seconds()
                try:
                    found = load.load(server.server.url, photos, number, options.seconds, server.server.field)
                except NotRun as error:
                    print(f"left out: {name}, {number} clients, round {turn}: {error}", file=sys.stderr)
                    continue
                cpu = {role: after - before[role] for role, after in server.cpu_seconds().items()}
                rows[name, number].append(found | cpu | {"limit": limit})
    return rows


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


def _row(own: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds of one server, and the processor time of a request in milliseconds."""
    answered = sum(row["requests"] + row["warm_requests"] for row in own)
    requests = sum(row["requests"] for row in own)
    rates = [row["requests/s"] for row in own]
    return {
        **{key: median(row[key] for row in own) for key in ("requests/s", "p50", "p95", "p99")},
        **{f"{role} ms": 1000 * sum(row[role] for row in own) / answered for role in ("first", "java", "workers")},
        "client ms": 1000 * sum(row["client_cpu"] for row in own) / requests,
        "errors": sum(row["errors"] for row in own),
        "requests/s spread": [min(rates), max(rates)],
    }


def _ratios(label: str, table: dict[str, dict[str, Any]], share: float) -> list[Ratio]:
    four = {key.removesuffix(", 4 clients"): row for key, row in table.items() if key.endswith(", 4 clients")}
    ours, targeted = four[OURS], not label.startswith("lite0-1000")
    targets: dict[str, float | None] = {STOCK: STOCK_TARGETS.get(label), **dict.fromkeys(servers.DOCUMENTED, 1.3)}
    found = []
    for server in [name for name in four if name != OURS]:
        target = 0.95 if server.endswith("inside") else targets.get(server)
        rate = ours["requests/s"] / four[server]["requests/s"]
        found.append(Ratio(f"{label}: requests/s, ours / {server}", rate, target if targeted else None))
    for server in [name for name in targets if name in four]:
        worse = ours["p99"] / four[server]["p99"]
        found.append(Ratio(f"{label}: p99, ours / {server}", worse, 1.0 if targeted else None, at_most=True))
    found.append(Ratio(f"{label}: share of the limit", share, LIMIT_TARGETS.get(label)))
    total = sum(ours[f"{role} ms"] for role in ("first", "java", "workers"))
    for role, title in (("first", "front"), ("java", "Java")):
        found.append(Ratio(f"{label}: {title}'s share of the server's processor time", ours[f"{role} ms"] / total))
    if alone := table.get(f"{OURS}, 1 clients"):
        # One client waits for every step, so its seconds a request are all the steps' seconds.
        lone = alone["first ms"] * alone["requests/s"] / 1000
        found.append(Ratio(f"{label}: front's share of a lone request's time", lone))
    return found


def _backends(options: argparse.Namespace) -> Measured:
    """Time every backend on one thread, and show how far each is from float32 on real photos."""
    from benchmarks.limit import ONNXRUNTIME, differences, measure
    from serve.backends import BACKENDS

    precisions = ("fp32", "bf16") if machine.has_bf16() else ("fp32",)
    names = [name for name, one in BACKENDS.items() if one.device == "cpu" and one.precision in precisions]
    paths = sorted(machine.sample_photos(options.folder, 200))
    times, far, ratios = {}, {}, []
    for model in MODELS:
        artifact = _artifact(options, model)
        found = times[model] = measure(artifact, paths, [*names, ONNXRUNTIME], rounds=options.rounds, photos=24)
        if model != "inception_v3":  # random weights have no answers to change
            far[model] = differences(artifact, paths, names)
        own = sorted((options.train / "test").rglob("*.jp*g")) if model == "lite0" else []
        if own:  # of its own classes, as the self-test is; the others are none of them
            far["lite0, test photos"] = differences(artifact, own, names)
        print(f"{model}, ms a photo: " + ", ".join(f"{name} {each['median']:.2f}" for name, each in found.items()))
        for name in (*names, ONNXRUNTIME):
            faster = found["torch"]["median"] / found[name]["median"]
            ratios.append(Ratio(f"{model}: forward pass, torch / {name}", faster))
    for model, by_name in far.items():
        for name, difference in by_name.items():
            print(f"{model}, {name}: " + ", ".join(f"{key} {value:.5g}" for key, value in difference.items()))
    settings = {"photos": len(paths), "rounds": options.rounds}
    return Measured(ratios, settings, {"ms_a_photo": times, "differences": far})


def _start(options: argparse.Namespace) -> Measured:
    """Measure from the start of `serve` to the first answer, and what a worker then holds."""
    photos = load.inputs(options.folder, options.work / "photos", large=options.large)
    seconds, memory = [], []
    for number in range(options.rounds):
        server = servers.ours(_artifact(options, "lite0"))
        before = time.monotonic()
        with servers.running(server, photos["natural"][0].read_bytes(), options.work / f"start-{number}") as running:
            seconds.append(time.monotonic() - before)
            for name in ("natural", "12mp"):
                load.load(server.url, photos[name], 4, options.seconds, None)
            others = [each for each in running.processes() if each.pid != running.pid and each.name() != "java"]
            memory.append(max(process.memory_info().rss for process in others) / 2**20)
    name, most = "lite0: largest worker after photos of 12 megapixels, MB", max(memory)
    ratios = [
        Ratio("lite0: seconds from serve to the first 200", median(seconds), START_SECONDS_TARGET, at_most=True),
        Ratio(name, most, WORKER_MB_TARGET, at_most=True),
    ]
    figures = {"seconds": machine.spread(seconds), "worker_mb": machine.spread(memory)}
    return Measured(ratios, {"rounds": options.rounds}, figures)


def _versions(python: Path) -> dict[str, str]:
    wanted = ("multi_model_server", "sagemaker_inference", "litserve", "torchserve", "torch")
    found = (path.name.split("-") for path in python.parent.parent.glob("lib/*/site-packages/*-*.dist-info"))
    return {name: number.removesuffix(".dist") for name, number, *_ in found if name in wanted}


PARTS: dict[str, parts.Part] = {
    "backends": _backends,
    **{
        f"{model}-{name}": partial(_compare, model=model, name=name)
        for model, kinds in MODELS.items()
        for name in kinds
    },
    "start": _start,
}

if __name__ == "__main__":
    sys.exit(main())
