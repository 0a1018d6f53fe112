"""What a GPU decides, in at most ten minutes on a machine that has one and nothing else: no network, no Docker.

    python -m benchmarks.gpu [--device cpu] [--quick] [--only NAME,...] [--seconds 600] [--out FILE]

Prints one table with a verdict a line and keeps it in results/gpu.json, also when it is stopped in between. Each check is
a process of its own (benchmarks.gpu_checks and benchmarks.gpu_program), so that a GPU that one of them spoils does not
spoil the next one. --device cpu --quick runs the same code without a GPU; its figures say nothing.
"""

import argparse
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

# In this order, each with the seconds after which it is given up.
CHECKS = {"device": 40, "tests": 100, "steps": 90, "pass": 80, "finetune": 190, "ranks": 40, "serving": 90}
CHECKS |= {"batches": 60, "errors": 40, "folding": 40, "casting": 60}
PROGRAM = ("pass", "finetune", "serving")  # those of benchmarks.gpu_program
LEAST = 10  # seconds without which no check is begun
Line = dict[str, str]


def main() -> int:
    """Run the checks, print the table and return 1 when a line says that something is wrong."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    end = time.monotonic() + options.seconds
    lines: list[Line] = []
    described = machine.describe()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.only:
            for line in _lines(name, options, end):
                lines.append(line)
                part = options.out.with_name(f".{options.out.name}.part")
                part.write_text(json.dumps({"machine": described, "lines": lines}, indent=1) + "\n")
                part.replace(options.out)
                print(f"{line['check']:9} {line['name']:58} {line['figure']:44} {line['verdict']}", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was found by then is kept", file=sys.stderr)
    # The table as the docs take it.
    print(f"\n{machine.summary(described)}\n\n| check | what | figure | verdict |\n| --- | --- | --- | --- |")
    for line in lines:
        print(f"| {line['check']} | {line['name']} | {line['figure']} | {line['verdict']} |")
    print(f"kept in {options.out}")
    return int(any(line["verdict"] == "wrong" for line in lines))


def _lines(name: str, options: argparse.Namespace, end: float) -> Iterator[Line]:
    """Run a check and yield its lines as they come, and one that says why where it ended otherwise."""
    left = min(CHECKS[name], end - time.monotonic())
    other = {"check": name, "name": "", "figure": ""}
    if left < LEAST:
        yield other | {"verdict": "not run: no time was left"}
        return
    module = "gpu_program" if name in PROGRAM else "gpu_checks"
    command = ["timeout", "--kill-after=5", f"{left:.0f}", sys.executable, "-m", f"benchmarks.{module}", name]
    command += ["--device", options.device, *(["--quick"] if options.quick else [])]
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
        yield other | {"figure": said[-1][:200] if said else "", "verdict": "wrong"}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Check what a GPU decides.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a small model and few photos, to try the code")
    parser.add_argument("--only", type=_chosen, default=list(CHECKS), help=f"some of {', '.join(CHECKS)}")
    parser.add_argument("--seconds", type=float, default=590, help="of all checks together (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "gpu.json", help="default: %(default)s")
    return parser.parse_args()


def _chosen(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CHECKS]:
        raise argparse.ArgumentTypeError(f"there is no check {unknown[0]}; there are {', '.join(CHECKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
