"""`byoc`: arguments to calls, nothing else."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.errors import UserError
from launch import check, predict, run, samples, server, training, tune


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0, 1 with one sentence on standard error, or 130 after Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.call(options)
        return status
    except UserError as error:
        print(f"byoc: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("byoc: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="byoc", description="Train and serve your own image classifier.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("run", help="the main job: check, tune, train, test, serve, predict")
    _add_job_options(verb)
    verb.add_argument("--trials", type=int, default=8, help="trials of the tuner (default: %(default)s)")
    verb.add_argument("--port", type=int, default=0, help="port to serve on (default: any free one)")
    verb.add_argument("--keep-serving", action="store_true", help="leave the server up until Ctrl-C")
    verb.set_defaults(call=run.command)

    data = verbs.add_parser("data", help="look at photos before anything is paid for").add_subparsers(
        required=True, metavar="VERB"
    )
    verb = data.add_parser("check", help="count, and find what would make training fail")
    verb.add_argument("data", type=Path, metavar="DIR")
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")
    verb.set_defaults(call=check.command)
    verb = data.add_parser("sample", help="write the small labelled set of the demo")
    verb.add_argument("data", type=Path, metavar="DIR")
    verb.set_defaults(call=samples.command)

    verb = verbs.add_parser("train", help="run the training program once")
    _add_job_options(verb)
    _add_image(verb)
    verb.set_defaults(call=training.command)

    verb = verbs.add_parser("tune", help="find hyperparameters; every trial is a run of the training program")
    _add_job_options(verb)
    verb.add_argument("--trials", type=int, default=8, help="default: %(default)s")
    _add_image(verb)
    verb.set_defaults(call=tune.command)

    verb = verbs.add_parser("serve", help="serve a model artifact in the foreground")
    verb.add_argument("model", type=Path, metavar="DIR", help="the folder that holds model.json")
    verb.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    verb.set_defaults(call=server.command)

    verb = verbs.add_parser("predict", help="send photos to a running server")
    verb.add_argument("files", type=Path, nargs="+", metavar="FILE")
    verb.add_argument("--url", default="http://127.0.0.1:8080", help="default: %(default)s")
    verb.set_defaults(call=predict.command)
    return parser


def _add_image(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--image",
        help="run the training program in this image, with Docker, instead of this environment; images.json names the one "
        "that build_and_push.sh pushed",
    )


def _add_job_options(verb: argparse.ArgumentParser) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "byoc-classifier" / "features"
    verb.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="holds train/, validation/ (or valid/) and test/, each with a folder per class or a manifest",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: a new folder under runs/)")
    verb.add_argument("--backbone", help="default: inception_v3, or that of --model")
    verb.add_argument(
        "--pretrained", type=Path, metavar="DIR", help="folder with the backbone's weights, the `pretrained` channel"
    )
    verb.add_argument("--model", type=Path, metavar="DIR", help="an earlier artifact to train on, the `model` channel")
    verb.add_argument("--feature-cache", type=Path, default=cache, metavar="DIR", help="default: %(default)s")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="hyperparameters",
        help="a hyperparameter, any number of times; `python -m train --help` lists them",
    )
