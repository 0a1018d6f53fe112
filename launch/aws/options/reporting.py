"""The options of `byoc report`. Importing this module loads nothing heavy."""

import argparse
from pathlib import Path

from launch.aws.options.common import add_account, show_examples


def add(verb: argparse.ArgumentParser) -> None:
    """Add the options of report."""
    show_examples(
        verb,
        "  byoc report runs/one --open\n"
        "  byoc report runs/one runs/two                     compares them\n"
        "  byoc report runs/one --follow                     while it trains\n"
        "  byoc report my-training-job                       on SageMaker: its outputs are downloaded\n"
        "  byoc report s3://bucket/byoc/output/my-training-job/\n"
        "  byoc report --endpoint http://127.0.0.1:8080 --follow\n"
        "  byoc report my-training-job --endpoint dogs --since 2d",
    )
    verb.add_argument(
        "run",
        nargs="?",
        metavar="RUN|JOB|S3|FOLDER",
        help="a folder of byoc run, byoc train or profiler-output; else a training or tuning job on SageMaker, or "
        "s3://BUCKET/PREFIX/ of its outputs",
    )
    verb.add_argument("other", nargs="?", metavar="RUN", help="the folder of a second run: the page compares the two")
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (default: report.html in the folder; report-NAME.html here for a job, for S3 and for an endpoint alone; "
        "compare.html in the second of two runs)",
    )
    verb.add_argument(
        "--price",
        type=float,
        metavar="USD",
        help="of an instance's hour: the page says what was lost in money (default: of a job on SageMaker, that of byoc prices)",
    )
    verb.add_argument("--open", action="store_true", help="open the page in the browser")
    verb.add_argument(
        "--endpoint", metavar="NAME|URL", help="how a model is served: an endpoint on SageMaker, or a server's address"
    )
    verb.add_argument(
        "--since", metavar="TIME", help="of an endpoint on SageMaker: 20m, 3h, 2d or a time as in 2026-11-27T12:00 (3h)"
    )
    verb.add_argument(
        "--follow",
        action="store_true",
        help="serve the page on this machine alone, and renew it until Ctrl-C, which writes it to the file",
    )
    verb.add_argument("--port", type=int, metavar="N", help="of the page that --follow serves (default: any free one)")
    add_account(verb)
