"""The speed of our server beside that of other servers and the limit of one thread, with the same artifact, photos and cores.

    python -m benchmarks.serve [FOLDER] [--peers-python PATH] [--part inception_v3,start,...] [sizes, which --help lists]

FOLDER (../shared/data/photos) holds photos of natural size; if it does not exist, the sample photos are used. PATH is the
Python of .venv-peers (bash requirements/setup_peers.sh). wrk loads one server at a time, round by round.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import limit, parts, request, servers
from benchmarks.load import compare, inputs, load
from benchmarks.machine import LITE, has_bf16, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.runs import ours

# lite0 is trained on photos of 120 breeds, or on the samples; lite0-1000 has its own head of 1,000 classes.
MODELS = {
    "inception_v3": ("natural", "12mp", "224"),
    "lite0": ("natural", "12mp", "224"),
    "lite0-1000": ("natural",),
}
REQUESTS = {model: MODELS[model] for model in ("inception_v3", "lite0")}
OPTIONS = {
    "train": (Path("../shared/data/breeds"), "folder of photos on which lite0 is trained"),
    "peers-python": (Path(".venv-peers/bin/python"), "the Python that has the peers"),
    "seconds": (5.0, "of load at a time"),
    "rounds": (3, "of all servers"),
    "large": (24, "photos of 12 megapixels"),
    "artifacts": (Path(), "where the artifacts are kept, and made if absent; a temporary folder without it"),
}


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/serve.json."""
    options = parts.parse("serve", PARTS, OPTIONS, folder="../shared/data/photos")
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as work:
        options.work = Path(work)
        if options.artifacts == Path():
            options.artifacts = options.work / "artifacts"
        if not options.folder.is_dir():
            from launch.samples import write_samples

            options.folder = options.train = options.work / "samples"
            write_samples(options.folder)
        return parts.run("serve", PARTS, options)


def _artifact(options: Options, model: str) -> Path:
    """Return the model's artifact, made where there is none yet."""
    job: Path = options.artifacts / model
    folder = job / "model"
    if not (folder / "model.json").exists():
        from benchmarks import artifacts

        photos = sorted(sample_photos(options.folder, 200))
        if model == "inception_v3":
            artifacts.random_weights(folder, model, photos)
        elif model == "lite0-1000":
            artifacts.imagenet_lite(folder, photos)
        else:
            ours(options.train, LITE, {}, base=job)
    return folder


def _backends(options: Options) -> Iterator[Figure]:
    """Time every backend on one thread, and show how far each is from float32 on real photos."""
    from classifier.backends import BACKENDS

    precisions = ("fp32", "bf16") if has_bf16() else ("fp32",)
    names = [name for name, one in BACKENDS.items() if one.device == "cpu" and one.precision in precisions]
    paths = sorted(sample_photos(options.folder, 200))
    timed = options.work / "timed.txt"
    timed.write_text("".join(f"{path.resolve()}\n" for path in paths[:24]))
    for model in MODELS:
        times = limit.measure(_artifact(options, model), timed, [*names, limit.ONNXRUNTIME], rounds=options.rounds)
        for name, taken in times.items():
            yield Figure.of(f"{model}: {name}, ms a photo", taken)
    # Not for inception_v3: its weights are random, so its answers mean nothing. Only the test photos show the classes of lite0.
    own = sorted((options.train / "test").rglob("*.jp*g"))
    judged = {"lite0-1000": paths, "lite0": paths} | ({"lite0, test photos": own} if own else {})
    for shown, photos in judged.items():
        for name, difference in limit.differences(_artifact(options, shown.split(",")[0]), photos, names).items():
            for key, value in difference.items():
                yield Figure(f"{shown}: {name}, {key}", value)


def _start(options: Options) -> Iterator[Figure]:
    """Measure from the start of `serve` to the first answer, and what a worker then holds."""
    seconds, memory = [], []
    photos = [inputs(options.folder, kind, options.work / kind, options.large) for kind in ("natural", "12mp")]
    first = Path(photos[0].read_text().splitlines()[0]).read_bytes()
    for number in range(options.rounds):
        server = servers.ours(_artifact(options, "lite0"))
        started = time.monotonic()
        with servers.running(server, first, options.work / f"start-{number}") as running:
            seconds.append(time.monotonic() - started)
            for listed in photos:
                load(server, listed, 4, options.seconds)
            workers = [each for each in running.processes() if each.pid != running.pid and each.name() != "java"]
            memory.append(max(process.memory_info().rss for process in workers) / 2**20)
    yield Figure.of("lite0: seconds from serve to the first 200", seconds, at_most=3)
    yield Figure("lite0: largest worker after photos of 12 megapixels, MB", max(memory), at_most=350)


def _part(model: str, kind: str) -> parts.Part:
    """Return the part that loads every server with a model and a kind of photo."""
    return lambda options: compare(options, _artifact(options, model), f"{model}-{kind}")


def _where(model: str, kind: str) -> parts.Part:
    """Return the part that loads our server alone and shows where the time of a request goes."""
    return lambda options: request.where(options, _artifact(options, model), kind)


PARTS: dict[str, parts.Part] = {
    "backends": _backends,
    **{f"{model}-{kind}": _part(model, kind) for model, kinds in MODELS.items() for kind in kinds},
    **{f"request-{model}-{kind}": _where(model, kind) for model, kinds in REQUESTS.items() for kind in kinds},
    "start": _start,
}

if __name__ == "__main__":
    sys.exit(main())
