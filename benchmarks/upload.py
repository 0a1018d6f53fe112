"""`byoc data upload` against SDK v2's upload_data, both to the local SageMaker in one run; then the same upload again.

    python -m benchmarks.upload [--photos N] [--bytes N] [--folder DIR]

Each is a process of its own, and its imports are not timed; neither is the check of the photos, which upload_data lacks. The
parts take turns, ROUNDS times; the medians are compared.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.emulator_process import FAKE, emulate
from benchmarks.machine import describe, summary, write_results

ROOT = Path(__file__).parents[1]
BUCKET = "bench-upload"
FASTER, AGAIN = 5.0, 15.0  # at least so many times as fast; at most so many seconds the second time
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


def main() -> int:
    """Measure, print the figures and write results/upload.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description="Measure byoc data upload.")
    parser.add_argument("--photos", type=int, default=8400, metavar="N", help="default: %(default)s")
    parser.add_argument("--bytes", type=int, default=45_000, metavar="N", help="of each (default: %(default)s)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="photos of yours instead")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= FAKE
    machine = describe()
    print(summary(machine))
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as place:
        folder = options.folder or _photos(Path(place) / "photos", options.photos, options.bytes)
        files = [path for path in folder.rglob("*") if path.is_file()]
        with emulate(Path(place)) as emulator:
            emulator.client("s3").create_bucket(Bucket=BUCKET)
            environment = os.environ | {"AWS_ENDPOINT_URL": emulator.url, "AWS_DEFAULT_REGION": "us-east-1"}

            def seconds(command: list[str], prefix: str) -> float:
                done = subprocess.run(
                    [*command, str(folder), BUCKET, prefix],
                    env=environment,
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                )
                return float(done.stdout.splitlines()[-1])

            sdk = [str(ROOT / ".venv-sdk" / "bin" / "python"), "-W", "ignore", "benchmarks/upload_sdk.py"]
            ours = [sys.executable, "-c", OURS]
            times: dict[str, list[float]] = {"sdk": [], "first": [], "again": []}
            for number in range(options.rounds):
                times["sdk"].append(seconds(sdk, f"sdk-{number}"))
                times["first"].append(seconds(ours, f"ours-{number}"))
                times["again"].append(seconds(ours, f"ours-{number}"))
    found = {name: median(values) for name, values in times.items()}
    ratio = found["sdk"] / found["first"]
    for name, title in (("sdk", "SDK v2's upload_data"), ("first", "byoc"), ("again", "byoc, the second time")):
        print(f"{title:24}{found[name]:8.1f} s {len(files) / found[name]:10,.0f} photos/s")
    print(
        f"byoc is {ratio:.1f} times as fast (at least {FASTER:g}); the second time {found['again']:.1f} s (at most {AGAIN:g})"
    )
    settings = {
        "photos": len(files),
        "bytes": sum(path.stat().st_size for path in files) if options.folder else options.bytes * len(files),
    }
    write_results("upload", {"machine": machine, "settings": settings, "seconds": found, "times_as_fast": ratio})
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
