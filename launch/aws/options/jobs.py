"""The verbs of jobs, and what train, tune and run understand with --on sagemaker. Importing this loads nothing heavy."""

import argparse
from pathlib import Path
from typing import Any, get_args

from classifier.errors import ConfigError
from launch.aws.options.common import (
    Verbs,
    add_account,
    add_following,
    add_json,
    add_plan,
    add_sending,
    add_verb,
    show_examples,
)
from launch.aws.specification import InputMode, Strategy

ROOM = "launch.aws.jobs"


def add(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    _jobs(verbs)
    _logs(verbs)
    _stop(verbs)
    _prices(verbs)


def on_sagemaker(verb: argparse.ArgumentParser) -> None:
    """Add the options that train, tune and run have with --on sagemaker. Call it after all other options were added."""
    here = tuple(action for action in verb._actions if action.dest in ("gpus", "feature_cache", "port", "keep_serving"))
    before = len(verb._actions)
    verb.add_argument(
        "--on", choices=("process", "sagemaker"), default="process", help="where it runs (default: %(default)s)"
    )
    group = verb.add_argument_group("with --on sagemaker")
    group.add_argument("--name", help="of the job (default: a new one of the time)")
    group.add_argument("--instance", metavar="TYPE[,TYPE]", help="in order of preference (default: byoc.toml's)")
    group.add_argument(
        "--count", type=int, default=1, metavar="N", help="of instances of one job (default: %(default)s)"
    )
    group.add_argument("--volume", type=int, default=30, metavar="GB", help="default: %(default)s")
    group.add_argument("--max-run", type=int, metavar="SECONDS", help="of one job (default: byoc.toml's)")
    group.add_argument("--spot", action="store_true", help="on spot instances, which cost less and may be taken away")
    group.add_argument(
        "--max-wait", type=int, metavar="SECONDS", help="of a spot job, waiting included (default: twice --max-run)"
    )
    group.add_argument(
        "--keep-alive",
        type=int,
        default=0,
        metavar="SECONDS",
        help="a warm pool for the next job that matches; it bills",
    )
    group.add_argument(
        "--retries", type=int, default=0, metavar="N", help="after an internal error of AWS's (default: %(default)s)"
    )
    group.add_argument("--isolation", action="store_true", help="no network in the container")
    group.add_argument(
        "--input-mode",
        choices=get_args(InputMode),
        default="File",
        help="how photos come into the container (default: %(default)s)",
    )
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the training program"
    )
    group.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="beside those in byoc.toml")
    add_sending(group)
    add_account(verb)
    add_plan(verb)
    add_following(verb)
    there = verb._actions[before + 1 :]
    verb.set_defaults(of_process=_named(here), of_sagemaker=_named(there))


def training(verb: argparse.ArgumentParser) -> None:
    """Add what only train understands."""
    show_examples(
        verb,
        "  byoc train --data photos/ --set lr=0.01\n"
        "  byoc train --data photos/ --on sagemaker --instance ml.g4dn.xlarge,ml.g5.xlarge --dry-run\n"
        "  byoc train --data s3://bucket/photos/ --on sagemaker --best-of my-tuning-job --spot",
    )
    group = verb.add_argument_group("with --on sagemaker, train alone")
    added = [
        group.add_argument("--resume", metavar="NAME", help="go on from the checkpoints of this earlier training job"),
        group.add_argument(
            "--best-of", metavar="JOB", help="the hyperparameters of the best training job of this tuning job"
        ),
    ]
    _also(verb, added)


def tuning(verb: argparse.ArgumentParser) -> None:
    """Add what tune and run understand."""
    word = verb.prog.split()[-1]
    show_examples(
        verb,
        f"  byoc {word} --data photos/ --trials 8\n"
        f"  byoc {word} --data photos/ --on sagemaker --trials 8 --parallel 4 --range lr=0.001:0.1:log --dry-run",
    )
    group = verb.add_argument_group("with --on sagemaker, the search (--trials says how many jobs)")
    added = [
        group.add_argument(
            "--range",
            action="append",
            default=[],
            dest="ranges",
            metavar="NAME=LOW:HIGH[:SCALE]",
            help="as in lr=0.001:0.1:log; scales are auto, linear, log, reverse-log (default: lr, batch-size and epochs)",
        ),
        group.add_argument(
            "--choice",
            action="append",
            default=[],
            dest="choices",
            metavar="NAME=A,B",
            help="as in batch-size=64,128; | between values that hold commas",
        ),
        group.add_argument("--strategy", choices=get_args(Strategy), default="Bayesian", help="default: %(default)s"),
        group.add_argument(
            "--parallel", type=int, default=2, metavar="N", help="jobs at a time (default: %(default)s)"
        ),
        group.add_argument("--early-stopping", action="store_true", help="SageMaker stops jobs that promise little"),
        group.add_argument(
            "--target", type=float, metavar="VALUE", help="the validation accuracy that ends the search"
        ),
        group.add_argument(
            "--without-improvement",
            type=int,
            default=0,
            metavar="N",
            help="jobs without a better one that end the search",
        ),
        group.add_argument(
            "--warm-start", action="append", default=[], metavar="JOB", help="an earlier tuning job to learn from"
        ),
        group.add_argument("--seed", type=int, help="of the search"),
    ]
    _also(verb, added)


def running(verb: argparse.ArgumentParser) -> None:
    """Add what only run understands."""
    group = verb.add_argument_group("with --on sagemaker, the endpoint")
    added = [
        group.add_argument("--serve-instance", metavar="TYPE[,TYPE]", help="default: byoc.toml's"),
        group.add_argument(
            "--serve-env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the serving program"
        ),
        group.add_argument("--delete-after", action="store_true", help="delete the endpoint after the predictions"),
    ]
    _also(verb, added)


def place(text: str) -> Path | str:
    """Return a folder, or an S3 address as it stands."""
    return text if text.startswith("s3://") else Path(text)


def check_place(options: argparse.Namespace) -> None:
    """Raise ConfigError for an option that means something in another place than the one that --on names."""
    if not hasattr(options, "of_process"):  # a verb that has one place
        return
    on = options.on
    others = options.of_sagemaker if on == "process" else options.of_process
    for flag, (name, default) in others.items():
        if getattr(options, name) != default:
            other = "--on sagemaker" if on == "process" else "--on process"
            raise ConfigError(
                f"{flag} is an option of {other}, and this is --on {on}; leave it out, or name that place"
            )
    if on == "process":
        for name in ("data", "pretrained", "model"):
            if str(getattr(options, name) or "").startswith("s3://"):
                raise ConfigError(
                    f"--{name} {getattr(options, name)} lies in S3; train there with --on sagemaker, or name a folder"
                )


def _jobs(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "jobs",
        "list what runs or ran on SageMaker, with its state, age and cost",
        "  byoc jobs\n  byoc jobs --leftovers     what still bills, and what lost its configuration or model",
        f"{ROOM}.listing",
    )
    verb.add_argument(
        "--leftovers", action="store_true", help="what still bills, and endpoints that lost what they are made of"
    )
    verb.add_argument("--name", metavar="TEXT", help="those whose names hold this")
    verb.add_argument("--most", type=int, default=20, metavar="N", help="rows (default: %(default)s)")
    verb.add_argument(
        "--calls", type=int, default=10, metavar="N", help="requests to AWS at most (default: %(default)s)"
    )
    add_json(verb)
    add_account(verb)


def _logs(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "logs",
        "show the log of a job or an endpoint",
        "  byoc logs my-job --follow\n  byoc logs my-endpoint --since 2h --search ERROR --tail 20",
        f"{ROOM}.logs",
    )
    verb.add_argument("name", metavar="NAME")
    verb.add_argument(
        "--since",
        metavar="TIME",
        help="90s, 20m, 2h or 3d ago, or a time as 2026-11-27T12:00 (default: a job's start, an hour ago for an endpoint)",
    )
    verb.add_argument("--tail", type=int, metavar="N", help="the last lines alone")
    verb.add_argument("--search", default="", metavar="TEXT", help="the lines that hold this text")
    verb.add_argument("--follow", "-f", action="store_true", help="go on until the job ends; Ctrl-C leaves it running")
    verb.add_argument("--json", action="store_true", help="print each line as JSON")
    add_account(verb)


def _stop(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "stop",
        "stop a job; what it has reached is kept",
        "  byoc stop my-job\n  byoc stop my-job --detach     do not wait for its end",
        f"{ROOM}.stop",
    )
    verb.add_argument("names", nargs="+", metavar="NAME", help="of a training, tuning or transform job")
    add_json(verb)
    verb.add_argument("--dry-run", action="store_true", help="say what would be stopped")
    add_account(verb)
    add_following(verb)


def _prices(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "prices",
        "read AWS's price list into a file that plans are made with",
        "  byoc prices --region eu-central-1",
        "launch.aws.prices",
    )
    add_json(verb)
    add_account(verb)


def _named(actions: Any) -> dict[str, tuple[str, object]]:
    """Return each option's name on the command line with that in the namespace and its default."""
    return {action.option_strings[0]: (action.dest, action.default) for action in actions}


def _also(verb: argparse.ArgumentParser, actions: list[argparse.Action]) -> None:
    verb.set_defaults(of_sagemaker={**verb.get_default("of_sagemaker"), **_named(actions)})
