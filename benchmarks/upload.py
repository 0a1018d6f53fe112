"""`byoc data upload` against SDK v2's upload_data, both to the local SageMaker in one run; then the same upload again.

    python -m benchmarks.upload [--photos N] [--bytes N] [--folder DIR] [--rounds N]

Each is a process of its own, and its imports are not timed; neither is the check of the photos, which upload_data lacks. The
three take turns; their medians are compared.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.emulator_process import emulate, forget_account
from benchmarks.machine import ROOT, describe, summary, write_results

FASTER, AGAIN = 5.0, 15.0  # at least so many times as fast; at most so many seconds the second time
# Both take a folder, a bucket and a prefix, and print the seconds last.
OURS = """
import sys, time
from pathlib import Path
from launch.aws.account.upload import upload
from launch.aws.session import Session
from launch.aws.settings import Settings
session, started = Session(Settings(region="us-east-1")), time.monotonic()
done = upload(session, Path(sys.argv[1]), f"s3://{sys.argv[2]}/{sys.argv[3]}")
print(done.sent, file=sys.stderr)
print(time.monotonic() - started)
"""
SDK = """
import sys, time
import boto3, sagemaker
folder, bucket, prefix = sys.argv[1:]
session = sagemaker.Session(boto_session=boto3.Session(), default_bucket=bucket)
started = time.monotonic()
session.upload_data(folder, bucket=bucket, key_prefix=prefix)
print(time.monotonic() - started)
"""


def main() -> int:
    """Measure, print the figures and write results/upload.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description="Measure byoc data upload.")
    parser.add_argument("--photos", type=int, default=8400, metavar="N", help="default: %(default)s")
    parser.add_argument("--bytes", type=int, default=45_000, metavar="N", help="of each (default: %(default)s)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="photos of yours instead")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    forget_account()
    machine = describe()
    print(summary(machine))
    sdk, ours = [str(ROOT / ".venv-sdk" / "bin" / "python"), "-W", "ignore", "-c", SDK], [sys.executable, "-c", OURS]
    turns = {"SDK v2's upload_data": (sdk, "sdk"), "byoc": (ours, "ours"), "byoc, the second time": (ours, "ours")}
    times: dict[str, list[float]] = {name: [] for name in turns}
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as place:
        folder = options.folder or _photos(Path(place) / "photos", options.photos, options.bytes)
        files = [path for path in folder.rglob("*") if path.is_file()]
        settings = {"photos": len(files), "bytes": sum(path.stat().st_size for path in files)}
        with emulate(Path(place)) as emulator:
            emulator.client("s3").create_bucket(Bucket="bench-upload")
            environment = os.environ | {"AWS_ENDPOINT_URL": emulator.url}
            for number in range(options.rounds):
                for name, (program, prefix) in turns.items():
                    command = [*program, str(folder), "bench-upload", f"{prefix}-{number}"]
                    done = subprocess.run(
                        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
                    )
                    times[name].append(float(done.stdout.splitlines()[-1]))
    found = {name: median(values) for name, values in times.items()}
    for name, seconds in found.items():
        print(f"{name:24}{seconds:8.1f} s {len(files) / seconds:10,.0f} photos/s")
    theirs, first, again = found.values()
    print(f"byoc is {theirs / first:.1f} times as fast (at least {FASTER:g}); again {again:.1f} s (at most {AGAIN:g})")
    results = {"machine": machine, "settings": settings, "seconds": found, "times_as_fast": theirs / first}
    write_results("upload", results)
    return 0


def _photos(folder: Path, count: int, size: int) -> Path:
    """Write files that no two are alike, in three splits of 20 classes."""
    for number in range(count):
        split = ("train", "validation", "test")[number % 10 // 8 + (number % 10 == 9)]
        path = folder / split / f"class-{number % 20:02d}" / f"photo {number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
