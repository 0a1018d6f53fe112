"""`byoc`: parses the command line and calls the module of the verb."""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from classifier.errors import ConfigError, UserError
from classifier.names import printable
from launch import emulate, interrupts
from launch.aws.errors import Detached
from launch.aws.options import account, common, hosting, jobs, reporting
from launch.gpus import CHOICES

BROKEN_PIPE = 141  # 128 plus the number of SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status.

    The status is 0, or 1 with one sentence on standard error, 130 after Ctrl-C, 143 after SIGTERM, and 129 after SIGHUP. It is 141 if the
    program that reads the output has ended, as `head` does.
    """
    interrupts.catch()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be invalid UTF-8
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout:
                sys.stdout.flush()  # flushed here, where an error can be caught; the interpreter would flush it too late
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            _drop_output()
        return _say(f"{error.filename or 'the output'} cannot be used: {error.strerror or error}")
    except UserError as error:
        return _say(str(error), error.exit_status)
    except KeyboardInterrupt as stop:
        _end(stop)
    except Exception as error:
        if interrupt := interrupts.cause(error):
            _end(interrupt)
        raise


def _end(stop: KeyboardInterrupt) -> NoReturn:
    """Print that byoc was stopped, and end this process. All clean-up is done by now."""
    _say(str(stop) if isinstance(stop, Detached) else "stopped")
    # A normal exit would wait for threads that still read photos.
    os._exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["emulate"]:  # this verb's options belong to a program in another environment
        return emulate.command(arguments[1:])
    _check_empty(arguments)
    options = _parser().parse_args(arguments)
    jobs.check_place(options)
    hosting.check_place(options)
    # The verb's imports take longest, so they come last. A usage text then appears at once, and Ctrl-C during the imports is caught.
    status: int = importlib.import_module(_room(options)).command(options)
    return status


def _check_empty(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an empty argument, as a shell passes "$JOB" if JOB is not set. Else it would mean the working folder, or
    the same as no argument, as in byoc report "" and byoc predict photo.jpg --endpoint "".
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option = argument[:-1] if argument.startswith("--") and argument.endswith("=") else ""
        if option or not argument:
            name = option or (before if before.startswith("--") else "an argument")
            raise ConfigError(
                f"{name} is empty; give it a value, or leave it out (is a variable of the shell not set?)"
            )


def _room(options: argparse.Namespace) -> str:
    """Return the name of the module that runs the verb. Some verbs have one module for this machine and one for SageMaker."""
    named = getattr(options, "on", None), getattr(options, "place", None)
    aws = "sagemaker" in named or getattr(options, "endpoint", None)
    room: str = getattr(options, "aws_call", options.call) if aws else options.call
    return room


def _drop_output() -> None:
    """Discard the output that is still buffered. Otherwise the interpreter would fail to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str, status: int = 1) -> int:
    with contextlib.suppress(OSError):  # the terminal was closed
        print(f"byoc: {printable(text)}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="byoc", description="Train and serve your own image classifier.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("run", help="the main job: check, tune, train, test, serve, predict")
    _add_job_options(verb, data_required=False)
    verb.add_argument("--trials", type=int, default=8, help="trials of the tuner (default: %(default)s)")
    verb.add_argument("--port", type=int, default=0, help="port to serve on (default: any free port)")
    verb.add_argument("--keep-serving", action="store_true", help="leave the server up until Ctrl-C")
    jobs.on_sagemaker(verb)
    jobs.tuning(verb)
    jobs.running(verb)
    verb.set_defaults(call="launch.run", aws_call="launch.aws.run")

    data = verbs.add_parser("data", help="check, sample or upload photos").add_subparsers(required=True, metavar="VERB")
    verb = data.add_parser("check", help="count photos, and find problems that would make training fail")
    verb.add_argument("data", type=Path, metavar="DIR")
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")
    verb.add_argument(
        "--look",
        type=Path,
        nargs="?",
        const=False,  # the value of --look without RUN
        metavar="RUN",
        help="also list photos that look mislabelled and near-duplicates across splits, from the records of a run; "
        "without RUN, byoc trains a head for this, with features from the cache if it has them",
    )
    verb.add_argument("--backbone", help="the backbone for --look without RUN (default: inception_v3)")
    verb.add_argument("--pretrained", type=Path, metavar="DIR", help="the backbone's weights for --look without RUN")
    verb.add_argument("--feature-cache", type=Path, default=_cache(), metavar="DIR", help="default: %(default)s")
    common.show_examples(verb, "  byoc data check photos/\n  byoc data check photos/ --look runs/one")
    verb.set_defaults(call="launch.check")
    verb = data.add_parser("sample", help="write the demo's small set of labelled photos")
    verb.add_argument("data", type=Path, metavar="DIR")
    common.show_examples(verb, "  byoc data sample data/samples")
    verb.set_defaults(call="launch.samples")
    account.add_upload(data)

    verb = verbs.add_parser("train", help="run the training program once")
    _add_job_options(verb)
    _add_image(verb)
    jobs.on_sagemaker(verb)
    jobs.training(verb)
    verb.set_defaults(call="launch.training", aws_call="launch.aws.jobs.train")

    verb = verbs.add_parser("tune", help="find hyperparameters; every trial is a run of the training program")
    _add_job_options(verb)
    verb.add_argument("--trials", type=int, default=8, help="default: %(default)s")
    _add_image(verb)
    jobs.on_sagemaker(verb)
    jobs.tuning(verb)
    verb.set_defaults(call="launch.tune", aws_call="launch.aws.jobs.tune")

    verb = verbs.add_parser("serve", help="serve a model artifact in the foreground")
    verb.add_argument("model", type=Path, metavar="DIR", help="the folder that holds model.json")
    verb.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    common.show_examples(verb, "  byoc serve runs/one/model --port 8080")
    verb.set_defaults(call="launch.server")

    verb = verbs.add_parser("predict", help="send photos to a running server")
    verb.add_argument("files", type=Path, nargs="+", metavar="FILE")
    verb.add_argument("--url", help="the address of a server (default: http://127.0.0.1:8080)")
    hosting.on_endpoint(verb)
    common.show_examples(
        verb,
        "  byoc predict photo.jpg\n"
        "  byoc predict *.jpg --url http://127.0.0.1:8081 --json\n"
        "  byoc predict photo.jpg --endpoint dogs",
    )
    verb.set_defaults(call="launch.predict", aws_call="launch.aws.hosting.predict")

    _add_try(verbs)

    verb = verbs.add_parser(
        "report",
        help="write a report, as a page and a JSON file, on a run, a job, an endpoint or the output of SageMaker's profiler",
    )
    reporting.add(verb)
    verb.set_defaults(call="launch.report")

    for group in (account, jobs, hosting):
        group.add(verbs)
    verbs.add_parser(
        "emulate", help="emulate SageMaker on this machine, with jobs that really run; byoc emulate --help explains it"
    )
    return parser


def _cache() -> Path:
    """Return the default folder of the feature cache."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "byoc-classifier" / "features"


def _add_try(verbs: common.Verbs) -> None:
    verb = common.add_verb(
        verbs,
        "try",
        "open a page in the browser to try a model with your own photos",
        "  byoc try runs/one --open\n"
        "  byoc try http://127.0.0.1:8080 --artifact runs/one/model\n"
        "  byoc try dogs --on sagemaker --keep kept        keeps photos that are named wrongly\n"
        "  byoc try runs/one --host 0.0.0.0                for a phone in the same network too",
    )
    verb.add_argument(
        "target",
        nargs="?",
        metavar="ARTIFACT|URL|ENDPOINT",
        help="the folder of a run or of its artifact, which is served while the page is up; the address of a server (default: "
        "http://127.0.0.1:8080); or, with --on sagemaker, the name of an endpoint",
    )
    verb.add_argument(
        "--keep", type=Path, metavar="DIR", help="folder for photos that the model names wrongly, sorted by class"
    )
    verb.add_argument(
        "--artifact",
        type=Path,
        metavar="DIR",
        help="the artifact of a server's or endpoint's model, to show where the model looked",
    )
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of the page; an address of this machine or 0.0.0.0 lets the local network in (default: %(default)s)",
    )
    verb.add_argument("--port", type=int, default=0, help="port of the page (default: any free port)")
    verb.add_argument("--open", action="store_true", help="open the page in the browser")
    hosting.try_on_endpoint(verb)
    verb.set_defaults(call="launch.try_page.process", aws_call="launch.try_page.sagemaker")


def _add_image(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--image",
        help="run the training program in this image, with Docker, instead of this environment; images.json stands for "
        "the image that build_and_push.sh pushed; with --on sagemaker: the address of the image",
    )
    verb.add_argument(
        "--gpus",
        choices=CHOICES,
        default="auto",
        help="whether the image gets this machine's GPUs; auto: if the image is built for CUDA and there is a GPU",
    )


def _add_job_options(verb: argparse.ArgumentParser, *, data_required: bool = True) -> None:
    verb.add_argument(
        "--data",
        type=jobs.place,
        required=data_required,  # check_place requires --data for all verbs, unless only a plan is shown
        metavar="DIR",
        help="a folder that holds train/, validation/ (or valid/) and test/, each with a folder per class or a "
        "manifest; with --on sagemaker byoc uploads it, or it is s3://BUCKET/PREFIX/",
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder for results (default: a new folder under runs/)"
    )
    verb.add_argument("--backbone", help="default: inception_v3, or the backbone of --model")
    verb.add_argument(
        "--pretrained",
        type=jobs.place,
        metavar="DIR",
        help="folder with the backbone's weights, the `pretrained` channel",
    )
    verb.add_argument(
        "--model",
        type=jobs.place,
        metavar="DIR",
        help="an earlier artifact from which training continues, the `model` channel",
    )
    verb.add_argument("--feature-cache", type=Path, default=_cache(), metavar="DIR", help="default: %(default)s")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="hyperparameters",
        help="a hyperparameter; may be given several times; `python -m train --help` lists them",
    )
