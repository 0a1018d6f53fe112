"""`byoc emulate fault`: orders a fault of the emulator that runs on a data folder."""

import argparse
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from local_test.sagemaker.faults import ANY, KINDS

DATA = Path(__file__).parents[2] / "runs" / "sagemaker"
ADDRESS = "address"  # the file in a data folder that names the emulator which uses the folder


def main(argv: Sequence[str]) -> int:
    """Order the fault and return the exit status: 0, or 1 after printing an error."""
    options = _parser().parse_args(argv)
    try:
        address = (options.data / ADDRESS).read_text()
        fault = {"kind": options.kind, "target": options.target, "times": options.times, "seconds": options.seconds}
        request = urllib.request.Request(f"{address}/_local/faults", json.dumps(fault).encode(), method="POST")
        # Do not use the shell's proxy, because the emulator is on this machine.
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
    except OSError as error:
        why = (
            error.read().decode()
            if isinstance(error, urllib.error.HTTPError)
            else f"no emulator runs on {options.data}"
        )
        print(f"byoc: {why}; start byoc emulate, or name its folder with --data", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="byoc emulate fault",
        description="Cause a fault, once or several times.",
        epilog="\n".join(f"  {kind:15} {text}" for kind, text in KINDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=KINDS, metavar="KIND")
    parser.add_argument(
        "target",
        nargs="?",
        default=ANY,
        metavar="TARGET",
        help="default: the next job, endpoint, action or bucket that the fault can strike",
    )
    parser.add_argument("--times", type=int, default=1, help="how often (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0, help="the delay in seconds, for faults that let something wait"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="the emulator's data folder (default: %(default)s)"
    )
    return parser
