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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import load, machine, parts, servers
from benchmarks.load import Photos
from benchmarks.runs import LITE, Measured, NotRun, Ratio
from benchmarks.servers import OURS, STOCK, Running

INPUTS = ("natural", "12mp", "224")
CLIENTS = (1, 4, 16)
# Of the stock handler's throughput at 4 clients.
STOCK_TARGETS = {
    ("inception_v3", "natural"): 2.9,
    ("inception_v3", "12mp"): 3.0,
    ("lite0", "natural"): 2.5,
    ("lite0", "12mp"): 4.0,
}
LIMIT_TARGETS = {("inception_v3", "natural"): 0.85}
# lite0 is trained on photos of three breeds, or on the samples; lite0-1000 has its own head of 1,000 classes.
MODELS = ("inception_v3", "lite0", "lite0-1000")
QUIET_SECONDS = 60.0
START_SECONDS_TARGET, WORKER_MB_TARGET = 8.0, 350.0
PARTS: dict[str, parts.Part] = {
    "backends": lambda options: _backends(options),
    **{
        f"{model}-{name}": lambda options, model=model, name=name: _compare(options, model, name)  # type: ignore[misc]
        for model in MODELS
        for name in INPUTS
        if model != "lite0-1000" or name == "natural"
    },
    "start": lambda options: _start(options),
}


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/serve.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description="Measure serving.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/photos"), metavar="FOLDER")
    add = parser.add_argument
    add("--train", type=Path, default=Path("../shared/data/dogs"), metavar="FOLDER", help="default: %(default)s")
    add(
        "--peers-python", type=Path, default=Path(".venv-peers/bin/python"), metavar="PATH", help="default: %(default)s"
    )
    add("--part", type=lambda text: parts.chosen(text, PARTS), default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    add("--seconds", type=float, default=5, help="of load at a time (default: %(default)s)")
    add("--rounds", type=int, default=3, help="default: %(default)s")
    add("--large", type=int, default=24, help="photos of 12 megapixels (default: %(default)s)")
    add("--artifacts", type=Path, metavar="FOLDER", help="where the artifacts are kept, and made if absent")
    options = parser.parse_args()
    options.threads = len(os.sched_getaffinity(0))
    print(f"{machine.summary(machine.describe())}\n")
    with contextlib.ExitStack() as stack:
        options.work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-serve-")))
        options.artifacts = options.artifacts or options.work / "artifacts"
        if not options.folder.is_dir():
            from launch.samples import write_samples

            options.folder = options.train = options.work / "samples"
            write_samples(options.folder)
        parts.run("serve", PARTS, options)
    return 0


def _artifact(options: argparse.Namespace, model: str) -> Path:
    """Return the model's artifact, made where there is none yet."""
    folder: Path = options.artifacts / model
    if (folder / "model.json").exists():
        return folder
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
    others = os.getloadavg()[0]
    artifact = _artifact(options, model)
    photos = load.inputs(options.folder, options.work / "photos", large=options.large)
    work = options.work / f"{model}-{name}"
    backend = prepared(artifact, work / "prepared")
    fastest = sorted({backend, "openvino-bf16"} if _bf16() else {backend})
    everything = name == "natural" and model != "lite0-1000"
    paths = photos[name].paths

    def limit_seconds() -> dict[str, Any]:
        return measure(artifact, paths, fastest, rounds=2, photos=len(paths))

    with _all(artifact, work, python, photos["natural"]) as running:
        rows = _rounds(options, running, photos[name], limit_seconds, everything=everything)
    limits = [(row["requests/s"], _limit(row["limit"], options.threads)) for row in rows if "limit" in row]
    limit = {key: median(found[key] for _, found in limits) for key in fastest}
    share = median(rate / found[backend] for rate, found in limits)
    table = _medians(rows)
    _print(model, name, table, limit)
    settings = {
        "backend": backend,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "photos": len(photos[name].paths),
    }
    settings["load before"] = others
    settings["versions"] = _versions(python)
    raw = {"rows": rows, "medians": table, "limit_requests_s": limit}
    errors = sum(row["errors"] for row in rows)
    notes = (f"served on {backend}; {errors} errors in {sum(row['requests'] for row in rows)} requests",)
    return Measured(_ratios(model, name, table, share), settings, raw, notes)


def _limit(seconds: dict[str, Any], threads: int) -> dict[str, float]:
    """Return requests/s by backend if nothing but decode and forward pass took time."""
    return {
        key: threads / (seconds["decode"]["median"] + found["median"])
        for key, found in seconds.items()
        if key != "decode"
    }


@contextlib.contextmanager
def _all(artifact: Path, work: Path, python: Path, photos: Photos) -> Iterator[list[Running]]:
    """Start every server; what does not start is said and left out."""
    photo = photos.paths[0].read_bytes()
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
    photos: Photos,
    limit_seconds: Callable[[], dict[str, Any]],
    *,
    everything: bool,
) -> list[dict[str, Any]]:
    """Load one server after another, round by round: all of them at 4 clients, at 1 and 16 ours and those as documented.

    The limit is measured just before ours at 4 clients, so that the machine is as fast for both.
    """
    rows = []
    for server in running:  # the first seconds after a start are slower, those of Java most of all
        with contextlib.suppress(NotRun):
            load.load(server.server.url, photos, 4, options.seconds, server.server.field)
    for number in range(options.rounds):
        for clients in CLIENTS if everything else (4,):
            for server in running:
                name = server.server.name
                if clients != 4 and (name not in (OURS, STOCK, *servers.DOCUMENTED) or number > 1):
                    continue
                _until_quiet(running)
                told = {"limit": limit_seconds()} if name == OURS and clients == 4 else {}
                before = server.cpu_seconds()
                try:
                    found = load.load(server.server.url, photos, clients, options.seconds, server.server.field)
                except NotRun as error:
                    print(f"left out: {name}, {clients} clients, round {number}: {error}", file=sys.stderr)
                    continue
                cpu = {role: after - before[role] for role, after in server.cpu_seconds().items()}
                rows.append({"server": name, "clients": clients, "round": number, **found, "server_cpu": cpu, **told})
    return rows


def _until_quiet(running: list[Running]) -> None:
    """Return when no server computes: some go on for seconds with what their last clients left, at the next one's cost."""
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        before = _computed(running)
        time.sleep(0.5)
        if _computed(running) - before < 0.05:
            return


def _computed(running: list[Running]) -> float:
    return sum(sum(server.cpu_seconds().values()) for server in running)


def _medians(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the medians over rounds by server and number of clients."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        own = [other for other in rows if (other["server"], other["clients"]) == (row["server"], row["clients"])]
        values = {key: median(other[key] for other in own) for key in ("requests/s", "p50", "p95", "p99")}
        answered = sum(other["requests"] + other["warm_requests"] for other in own)
        for role in row["server_cpu"]:
            values[f"{role} ms"] = 1000 * sum(other["server_cpu"][role] for other in own) / answered
        values["client ms"] = 1000 * sum(other["client_cpu"] for other in own) / sum(other["requests"] for other in own)
        values["errors"] = sum(other["errors"] for other in own)
        found[f"{row['server']}, {row['clients']} clients"] = values
    return found


def _ratios(model: str, name: str, table: dict[str, dict[str, float]], share: float) -> list[Ratio]:
    label, four = (
        f"{model}, {name}",
        {key.removesuffix(", 4 clients"): row for key, row in table.items() if ", 4 " in key},
    )
    targeted = model in ("inception_v3", "lite0")
    ours, found = four[OURS], []
    for server, row in four.items():
        if server == OURS:
            continue
        target = 0.95 if server.endswith("inside") else 1.3 if server in servers.DOCUMENTED else None
        target = STOCK_TARGETS.get((model, name)) if server == STOCK else target
        rate = ours["requests/s"] / row["requests/s"]
        found.append(Ratio(f"{label}: requests/s, ours / {server}", rate, target if targeted else None))
    for server in (STOCK, *servers.DOCUMENTED):
        if server in four:
            worse = ours["p99"] / four[server]["p99"]
            found.append(Ratio(f"{label}: p99, ours / {server}", worse, 1.0 if targeted else None, at_most=True))
    found.append(Ratio(f"{label}: share of the limit", share, LIMIT_TARGETS.get((model, name))))
    total = sum(ours[f"{role} ms"] for role in ("first", "java", "workers"))
    for role, title in (("first", "front"), ("java", "Java")):
        found.append(Ratio(f"{label}: {title}'s share of the server's processor time", ours[f"{role} ms"] / total))
    alone = table.get(f"{OURS}, 1 clients")
    if alone:  # one client waits for every step, so its seconds a request are all the steps' seconds
        found.append(
            Ratio(f"{label}: front's share of a lone request's time", alone["first ms"] * alone["requests/s"] / 1000)
        )
    return found


def _backends(options: argparse.Namespace) -> Measured:
    """Time every backend on one thread, and show how far each is from float32 on real photos."""
    from benchmarks.limit import ONNXRUNTIME, differences, measure
    from serve.backends import BACKENDS

    names = [
        name
        for name, backend in BACKENDS.items()
        if backend.device == "cpu" and (backend.precision == "fp32" or _bf16())
    ]
    paths = sorted(machine.sample_photos(options.folder, 200))
    raw: dict[str, Any] = {"seconds": {}, "differences": {}}
    for model in MODELS:
        artifact = _artifact(options, model)
        raw["seconds"][model] = measure(artifact, paths, [*names, ONNXRUNTIME], rounds=options.rounds, photos=24)
        if model != "inception_v3":  # random weights have no answers to change
            raw["differences"][model] = differences(artifact, paths, names)
        own = sorted((options.train / "test").rglob("*.jp*g")) if model == "lite0" else []
        if own:  # of its own classes, as the self-test is; the others are none of them
            raw["differences"]["lite0, test photos"] = differences(artifact, own, names)
        print(f"{model:14} {'ms a photo':>12} {'largest':>9} {'mean':>9} {'over 0.01':>10} {'top-1':>6}")
        for name in ("decode", *names, ONNXRUNTIME):
            line = f"  {name:12} {1000 * raw['seconds'][model][name]['median']:12.2f}"
            far = raw["differences"].get(model, {}).get(name)
            print(line + (" {:9.5f} {:9.5f} {:10} {:6}".format(*list(far.values())[:4]) if far else ""))
    ratios = []
    for model in MODELS:
        times = {name: row["median"] for name, row in raw["seconds"][model].items()}
        ratios += [
            Ratio(f"{model}: forward pass, torch / {name}", times["torch"] / times[name])
            for name in times
            if name != "decode"
        ]
    return Measured(ratios, {"photos": len(paths), "rounds": options.rounds}, raw)


def _start(options: argparse.Namespace) -> Measured:
    """Measure from the start of `serve` to the first answer, and what a worker then holds."""
    photos = load.inputs(options.folder, options.work / "photos", large=options.large)
    seconds, memory = [], []
    for number in range(options.rounds):
        work = options.work / f"start-{number}"
        server = servers.ours(_artifact(options, "lite0"))
        before = time.monotonic()
        with servers.running(server, photos["natural"].paths[0].read_bytes(), work) as running:
            seconds.append(time.monotonic() - before)
            for name in ("natural", "12mp"):
                load.load(server.url, photos[name], 4, options.seconds, None)
            workers = [
                process for process in running.processes() if process.pid != running.pid and process.name() != "java"
            ]
            memory.append(max(process.memory_info().rss for process in workers) / 2**20)
    ratios = [
        Ratio("lite0: seconds from serve to the first 200", median(seconds), START_SECONDS_TARGET, at_most=True),
        Ratio("lite0: largest worker after photos of 12 megapixels, MB", max(memory), WORKER_MB_TARGET, at_most=True),
    ]
    return Measured(ratios, {"rounds": options.rounds}, {"seconds": seconds, "worker_mb": memory})


def _bf16() -> bool:
    return bool({"avx512_bf16", "amx_bf16"} & set(machine.describe()["flags"]))


def _versions(python: Path) -> dict[str, str]:
    names = ("multi-model-server", "sagemaker-inference", "litserve", "torchserve", "torch")
    found = (
        list(python.parent.parent.glob(f"lib/*/site-packages/{name.replace('-', '_')}-*.dist-info")) for name in names
    )
    return {paths[0].name.split("-")[0]: paths[0].name.split("-")[1].removesuffix(".dist") for paths in found if paths}


def _print(model: str, name: str, table: dict[str, dict[str, float]], limit: dict[str, float]) -> None:
    roles = ("first", "java", "workers", "client")
    heads = ("requests/s", "p50", "p95", "p99")
    print(
        f"{f'{model}, {name}':44}{''.join(f'{head:>11}' for head in heads)}{'errors':>8}   "
        f"processor ms a request: {', '.join(roles)}"
    )
    for server, row in table.items():
        costs = "".join(f"{row[f'{role} ms']:8.2f}" for role in roles)
        print(f"  {server:42}{''.join(f'{row[head]:11.1f}' for head in heads)}{row['errors']:8.0f}   {costs}")
    print("".join(f"  {f'limit, {backend}':42}{rate:11.1f}\n" for backend, rate in limit.items()))


if __name__ == "__main__":
    sys.exit(main())
