"""The verbs for jobs, and the options of train, tune and run with --on sagemaker. Importing this module loads nothing heavy."""

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
        "--on",
        choices=("process", "sagemaker"),
        default="process",
        help="this machine or SageMaker (default: %(default)s)",
    )
    group = verb.add_argument_group("with --on sagemaker")
    group.add_argument("--name", help="the job's name (default: a new name with the time)")
    group.add_argument(
        "--instance", metavar="TYPE[,TYPE]", help="instance types in order of preference (default: those in byoc.toml)"
    )
    group.add_argument("--count", type=int, default=1, metavar="N", help="instances for one job (default: %(default)s)")
    group.add_argument(
        "--volume", type=int, default=30, metavar="GB", help="disk space of each instance (default: %(default)s)"
    )
    group.add_argument(
        "--max-run", type=int, metavar="SECONDS", help="the longest time of one job (default: max_run in byoc.toml)"
    )
    group.add_argument(
        "--spot", action="store_true", help="use spot instances, which cost less, but which AWS may take away"
    )
    group.add_argument(
        "--max-wait",
        type=int,
        metavar="SECONDS",
        help="the longest time of a spot job, including the wait for instances (default: twice --max-run)",
    )
    group.add_argument(
        "--keep-alive",
        type=int,
        default=0,
        metavar="SECONDS",
        help="keep the instances as a warm pool for the next matching job; this costs money",
    )
    group.add_argument(
        "--retries",
        type=int,
        default=0,
        metavar="N",
        help="how many times AWS repeats a job after an internal error (default: %(default)s)",
    )
    group.add_argument("--isolation", action="store_true", help="give the container no network")
    group.add_argument(
        "--input-mode",
        choices=get_args(InputMode),
        default="File",
        help="how photos reach the container (default: %(default)s)",
    )
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the training program"
    )
    group.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="a tag, in addition to those in byoc.toml"
    )
    add_sending(group)
    add_account(verb)
    add_plan(verb)
    add_following(verb)
    there = verb._actions[before + 1 :]
    verb.set_defaults(of_process=_named(here), of_sagemaker=_named(there))


def training(verb: argparse.ArgumentParser) -> None:
    """Add the options of train alone."""
    show_examples(
        verb,
        "  byoc train --data photos/ --set lr=0.01\n"
        "  byoc train --data photos/ --on sagemaker --instance ml.g4dn.xlarge,ml.g5.xlarge --dry-run\n"
        "  byoc train --data s3://bucket/photos/ --on sagemaker --best-of my-tuning-job --spot",
    )
    group = verb.add_argument_group("with --on sagemaker, train alone")
    added = [
        group.add_argument(
            "--resume", metavar="NAME", help="continue from the checkpoints of this earlier training job"
        ),
        group.add_argument(
            "--best-of", metavar="JOB", help="train with the hyperparameters of this tuning job's best training job"
        ),
    ]
    _also(verb, added)


def tuning(verb: argparse.ArgumentParser) -> None:
    """Add the options of tune and run."""
    word = verb.prog.split()[-1]
    show_examples(
        verb,
        f"  byoc {word} --data photos/ --trials 8\n"
        f"  byoc {word} --data photos/ --on sagemaker --trials 8 --parallel 4 --range lr=0.001:0.1:log --dry-run",
    )
    group = verb.add_argument_group("the search with --on sagemaker (--trials is the number of jobs)")
    added = [
        group.add_argument(
            "--range",
            action="append",
            default=[],
            dest="ranges",
            metavar="NAME=LOW:HIGH[:SCALE]",
            help="search this range of a hyperparameter, as in lr=0.001:0.1:log; scales are auto, linear, log, "
            "reverse-log (default: lr, batch-size and epochs)",
        ),
        group.add_argument(
            "--choice",
            action="append",
            default=[],
            dest="choices",
            metavar="NAME=A,B",
            help="search these values of a hyperparameter, as in batch-size=64,128; write | between values that contain commas",
        ),
        group.add_argument("--strategy", choices=get_args(Strategy), default="Bayesian", help="default: %(default)s"),
        group.add_argument(
            "--parallel", type=int, default=2, metavar="N", help="jobs at a time (default: %(default)s)"
        ),
        group.add_argument(
            "--early-stopping", action="store_true", help="let SageMaker stop jobs that are not promising"
        ),
        group.add_argument("--target", type=float, metavar="VALUE", help="end the search at this validation accuracy"),
        group.add_argument(
            "--without-improvement",
            type=int,
            metavar="N",
            help="end the search after this many jobs without a better one",
        ),
        group.add_argument(
            "--warm-start", action="append", default=[], metavar="JOB", help="an earlier tuning job to learn from"
        ),
        group.add_argument("--seed", type=int, help="the seed of the search"),
    ]
    _also(verb, added)


def running(verb: argparse.ArgumentParser) -> None:
    """Add the options of run alone."""
    group = verb.add_argument_group("the endpoint with --on sagemaker")
    added = [
        group.add_argument(
            "--serve-instance",
            metavar="TYPE[,TYPE]",
            help="the endpoint's instance types (default: those in byoc.toml)",
        ),
        group.add_argument(
            "--serve-env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the serving program"
        ),
        group.add_argument("--delete-after", action="store_true", help="delete the endpoint after the predictions"),
    ]
    _also(verb, added)


def place(text: str) -> Path | str:
    """Return the path of a folder, or an S3 address unchanged."""
    return text if text.startswith("s3://") else Path(text)


def check_place(options: argparse.Namespace) -> None:
    """Raise ConfigError for an option that does not fit --on: an option of the other place, no photos, or an S3 address without --on
    sagemaker.
    """
    if not hasattr(options, "of_process"):  # a verb without --on, which always runs in the same place
        return
    on = options.on
    others = options.of_sagemaker if on == "process" else options.of_process
    for flag, (name, default) in others.items():
        if getattr(options, name) != default:
            other = "--on sagemaker" if on == "process" else "--on process"
            raise ConfigError(
                f"{flag} is an option of {other}, but this is --on {on}; leave out the option, or pass {other}"
            )
    if options.data is None and not options.dry_run:
        raise ConfigError(
            "no photos are named; pass --data DIR, or with --on sagemaker also --data s3://BUCKET/PREFIX/"
        )
    if on == "process":
        for name in ("data", "pretrained", "model"):
            if str(getattr(options, name) or "").startswith("s3://"):
                raise ConfigError(
                    f"--{name} {getattr(options, name)} is in S3; add --on sagemaker to train there, or name a folder"
                )


def _jobs(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "jobs",
        "list jobs and endpoints on SageMaker, with their state, age and cost",
        "  byoc jobs\n  byoc jobs --leftovers     what still costs money, and endpoints without their configuration or model",
        f"{ROOM}.listing",
    )
    verb.add_argument(
        "--leftovers",
        action="store_true",
        help="list what still costs money, and endpoints that have lost their configuration or model",
    )
    verb.add_argument("--name", metavar="TEXT", help="list only jobs and endpoints whose names contain this text")
    verb.add_argument("--most", type=int, default=20, metavar="N", help="the most rows (default: %(default)s)")
    verb.add_argument(
        "--calls", type=int, default=10, metavar="N", help="the most requests to AWS (default: %(default)s)"
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
        help="show lines since 90s, 20m, 2h or 3d ago, or since a time as in 2026-11-27T12:00 (default: a job's start, "
        "or an hour ago for an endpoint)",
    )
    verb.add_argument("--tail", type=int, metavar="N", help="only the last N lines")
    verb.add_argument("--search", default="", metavar="TEXT", help="only lines that contain this text")
    verb.add_argument(
        "--follow", "-f", action="store_true", help="show new lines until the job ends; Ctrl-C does not stop the job"
    )
    verb.add_argument(
        "--json",
        action="store_true",
        help="print each line as JSON; for a job with --follow and no other choice of lines, only its end",
    )
    add_account(verb)


def _stop(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "stop",
        "stop a job; its model and checkpoints are kept",
        "  byoc stop my-job\n  byoc stop my-job --detach     does not wait for its end",
        f"{ROOM}.stop",
    )
    verb.add_argument("names", nargs="+", metavar="NAME", help="the name of a training, tuning or transform job")
    add_json(verb)
    verb.add_argument("--dry-run", action="store_true", help="show what would be stopped")
    add_account(verb)
    add_following(verb)


def _prices(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "prices",
        "read AWS's price list into a file, from which plans take their prices",
        "  byoc prices --region eu-central-1",
        "launch.aws.prices",
    )
    add_json(verb)
    add_account(verb)


def _named(actions: Any) -> dict[str, tuple[str, object]]:
    """Return, for each option on the command line, its name in the namespace and its default."""
    return {action.option_strings[0]: (action.dest, action.default) for action in actions}


def _also(verb: argparse.ArgumentParser, actions: list[argparse.Action]) -> None:
    verb.set_defaults(of_sagemaker={**verb.get_default("of_sagemaker"), **_named(actions)})
