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
        help="a folder that byoc run or byoc train wrote, or a profiler-output folder; otherwise a training or tuning "
        "job on SageMaker, or s3://BUCKET/PREFIX/ of a job's outputs",
    )
    verb.add_argument("other", nargs="?", metavar="RUN", help="the folder of a second run: the page compares the two")
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file for the page (default: report.html in the run's folder; report-NAME.html in this folder for a "
        "job, S3 or an endpoint alone; compare.html in the second run's folder)",
    )
    verb.add_argument(
        "--price",
        type=float,
        metavar="USD",
        help="the price of an instance's hour, for the cost of lost time on the page (default for a job on SageMaker: "
        "the price from byoc prices)",
    )
    verb.add_argument("--open", action="store_true", help="open the page in the browser")
    verb.add_argument(
        "--endpoint",
        metavar="NAME|URL",
        help="report on how a model is served, by an endpoint on SageMaker or by a server at this address",
    )
    verb.add_argument(
        "--since",
        metavar="TIME",
        help="start of an endpoint's metrics: 20m, 3h, 2d ago, or a time as in 2026-11-27T12:00 (default: 3h)",
    )
    verb.add_argument(
        "--follow",
        action="store_true",
        help="serve the page to this machine alone and keep it up to date; Ctrl-C ends this and writes the file",
    )
    verb.add_argument(
        "--port", type=int, metavar="N", help="the port of the page that --follow serves (default: any free port)"
    )
    add_account(verb)
