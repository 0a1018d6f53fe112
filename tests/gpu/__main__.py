"""Check and measure both programs on a GPU in at most ten minutes, without a network or Docker.

    python -m tests.gpu [--device cpu] [--quick] [--only NAME,...] [--seconds 590] [--out FILE]

Prints a table with one verdict a line, and keeps it in runs/gpu.json even if it is stopped early. Each check runs in its own
process, so that an error on the GPU does not reach the next check. --device cpu --quick runs the same code without a GPU; its
figures say nothing.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from benchmarks import machine
from tests.gpu import WRONG

# The checks in their order, each with its function and its time limit in seconds.
CHECKS = {
    "device": ("checks.device", 40),
    "tests": ("checks.tests", 100),
    "steps": ("checks.steps", 90),
    "pass": ("program.feature_pass", 80),
    "finetune": ("program.finetune", 190),
    "ranks": ("checks.ranks", 40),
    "serving": ("program.serving", 90),
    "stock": ("stock.stock", 90),
    "errors": ("checks.errors", 40),
    "folding": ("checks.folding", 40),
    "casting": ("checks.casting", 60),
    "networks": ("networks.networks", 120),
    "decoding": ("networks.decoding", 40),
}
LEAST = 10  # seconds that must be left to begin a check
Row = dict[str, str]


def main() -> int:
    """Run the checks, print the table and return 1 if a line reports that something is wrong."""
    options = _parse()
    if options.here:
        return _run_here(options)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    end, rows, described = time.monotonic() + options.seconds, [], machine.describe()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # The table in Markdown, as the docs hold it.
    print(f"{json.dumps(described)}\n\n| check | what | figure | verdict |\n| --- | --- | --- | --- |", flush=True)
    try:
        for name in options.only:
            for row in _rows(name, options, end):
                rows.append(row)
                part = options.out.with_name(f".{options.out.name}.part")
                part.write_text(json.dumps({"machine": described, "lines": rows}, indent=1) + "\n")
                part.replace(options.out)
                print(f"| {row['check']} | {row['name']} | {row['figure']} | {row['verdict']} |", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was found by then is kept", file=sys.stderr)
    print(f"kept in {options.out}")
    return int(any(row["verdict"] == WRONG for row in rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu", description="Check and measure both programs on a GPU."
    )
    only = f"some of {', '.join(CHECKS)}"
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(CHECKS), metavar="NAME,...", help=only
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="a small model and few photos, to try the code")
    parser.add_argument(
        "--seconds", type=float, default=590, help="time limit of all checks together (default: %(default)s)"
    )
    out = machine.ROOT / "runs" / "gpu.json"
    parser.add_argument(
        "--out", type=Path, default=out, metavar="FILE", help="where the table is kept (default: %(default)s)"
    )
    parser.add_argument(
        "--here", action="store_true", help="run the one check in this process and print its rows as JSON"
    )
    options = parser.parse_args()
    unknown = [name for name in options.only if name not in CHECKS]
    if unknown:
        parser.error(f"{unknown[0]!r} is not a check; the checks are {', '.join(CHECKS)}")
    return options


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _rows(name: str, options: argparse.Namespace, end: float) -> Iterator[Row]:
    """Run a check in its own process and yield its rows as they come. If it fails or is stopped, the last row says why."""
    left = min(CHECKS[name][1], end - time.monotonic())
    other = {"check": name, "name": "", "figure": ""}
    if left < LEAST:
        yield other | {"verdict": "not run: no time was left"}
        return
    command = ["timeout", "--kill-after=5", f"{left:.0f}", sys.executable, "-m", "tests.gpu", "--here"]
    command += ["--only", name, "--device", options.device, *(["--quick"] if options.quick else [])]
    # The programs that a check starts find the packages of this checkout, which need not be installed.
    path = os.pathsep.join([str(machine.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path} | ({"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {})
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield from (json.loads(text) for text in process.stdout if text.startswith("{"))
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        process.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if process.returncode in (124, 137) or process.returncode < 0:
        yield other | {"verdict": f"not finished within {left:.0f} s"}
    elif process.returncode:
        yield other | {"figure": said[-1][:200] if said else "", "verdict": WRONG}


def _run_here(options: argparse.Namespace) -> int:
    """Run one check and print its rows as JSON."""
    import torch

    from tests.gpu.checks import Setting

    # SIGTERM raises SystemExit, so that started processes are ended and temporary folders are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU", file=sys.stderr)
        return 1
    setting = Setting(device=options.device, quick=False)
    if options.quick:
        setting = Setting(device=options.device, quick=True, backbone="timm/test_efficientnet", batch=4, repeats=3)
    (name,) = options.only
    module, function = CHECKS[name][0].split(".")
    for what, figure, verdict in getattr(importlib.import_module(f"tests.gpu.{module}"), function)(setting):
        print(json.dumps({"check": name, "name": what, "figure": figure, "verdict": verdict}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
