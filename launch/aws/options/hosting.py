"""The verbs for hosting: deploy, endpoints, rollback, delete, transform, register and approve. Also the options of predict and try
for an endpoint."""

import argparse
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws.options.common import (
    Verbs,
    add_account,
    add_following,
    add_json,
    add_plan,
    add_sending,
    add_serve_image,
    add_verb,
)

ENDPOINT = "byoc-classifier"
TIMEOUT = 900  # seconds
ROOM = "launch.aws.hosting"
MODEL_HELP = (
    "s3://.../model.tar.gz, the name of a training job, or a folder or archive on this machine, which is uploaded"
)


def add(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    _deploy(verbs)
    _endpoints(verbs)
    _rollback(verbs)
    _delete(verbs)
    _transform(verbs)
    _register(verbs)
    _approve(verbs)


def on_endpoint(verb: argparse.ArgumentParser) -> None:
    """Add predict's options for an endpoint."""
    _endpoint(verb, argparse.SUPPRESS)
    add_json(verb)
    add_account(verb)


def try_on_endpoint(verb: argparse.ArgumentParser) -> None:
    """Add try's options for an endpoint."""
    _endpoint(verb, "sagemaker: try an endpoint of that name")
    add_account(verb)


def check_place(options: argparse.Namespace) -> None:
    """Raise ConfigError if predict or try gets options of an endpoint for a server on this machine, or the other way round."""
    if not hasattr(options, "target_model"):
        return
    if options.endpoint and options.place == "process":
        raise ConfigError("--endpoint names an endpoint on SageMaker, but this is --on process; leave one of them out")
    aws = options.endpoint or options.place == "sagemaker"
    if aws and getattr(options, "url", None):
        raise ConfigError("--url is the address of a server, and --endpoint names an endpoint; leave one of them out")
    if not aws and (options.target_model or options.timeout != TIMEOUT):
        raise ConfigError(
            "--target-model and --timeout are for an endpoint; name one with --endpoint, or leave them out"
        )


def _endpoint(verb: argparse.ArgumentParser, on: str) -> None:
    group = verb.add_argument_group("SageMaker", "send photos to an endpoint instead of a server on this machine")
    group.add_argument("--on", choices=["process", "sagemaker"], dest="place", help=on)
    group.add_argument("--endpoint", metavar="NAME", help="the endpoint's name, as byoc endpoints lists it")
    group.add_argument(
        "--target-model", metavar="KEY", help="the archive's key below the prefix of a multi-model endpoint"
    )
    group.add_argument(
        "--timeout",
        type=int,
        default=TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for an asynchronous endpoint's answer (default: %(default)s)",
    )


def _deploy(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "deploy",
        "make an endpoint on SageMaker, or give an existing endpoint another model",
        "  byoc deploy my-training-job --endpoint dogs --autoscale 1:4 --alarms\n"
        "  byoc deploy runs/20261101-101500/job/model --endpoint dogs --serverless\n"
        "  byoc deploy --endpoint dogs --life 8         marks when byoc delete --expired may delete it",
        f"{ROOM}.deploy",
    )
    verb.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"{MODEL_HELP}; without it, only autoscaling, alarms and life of an endpoint change",
    )
    verb.add_argument("--on", choices=["sagemaker"], dest="place", help=argparse.SUPPRESS)
    verb.add_argument(
        "--endpoint",
        default=ENDPOINT,
        metavar="NAME",
        help="the endpoint's name, which never changes (default: %(default)s)",
    )
    verb.add_argument("--package", metavar="ARN", help="deploy this approved version of the model registry")
    verb.add_argument("--group", metavar="NAME", help="deploy the newest approved version of this group")
    add_serve_image(verb)
    verb.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the serving program"
    )
    _kind(verb)
    _machines(verb)
    _around(verb)
    group = verb.add_argument_group("when an endpoint is updated")
    group.add_argument(
        "--bake",
        type=int,
        metavar="SECONDS",
        help="how long the new instances answer before the old ones end; an alarm in that time rolls the update back "
        "(default: 300 if the endpoint has alarms, else 0)",
    )
    verb.add_argument(
        "--photo",
        type=Path,
        metavar="FILE",
        help="a photo that the endpoint must answer at the end (default: a small photo of a cat)",
    )
    add_account(verb)
    add_plan(verb)
    add_sending(verb)
    add_following(verb)


def _kind(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group(
        "kind", "pass at most one of these; without any, a new endpoint is real-time, and an update keeps the kind"
    )
    kind = group.add_mutually_exclusive_group()
    kind.add_argument("--serverless", action="store_true", help="use no instances; AWS bills each answer")
    kind.add_argument("--async", action="store_true", dest="asynchronous", help="write answers to S3")
    kind.add_argument(
        "--multi-model", metavar="PREFIX", help="s3://.../ that holds several archives; each request names one of them"
    )
    group.add_argument(
        "--memory",
        type=int,
        metavar="MB",
        help="memory of a serverless endpoint: 1024 to 6144 in steps of 1024 (default: 4096)",
    )
    group.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="how many answers a serverless or asynchronous endpoint computes at a time",
    )


def _machines(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("instances")
    group.add_argument("--instance", metavar="TYPE[,TYPE]", help="an instance type, or several in order of preference")
    group.add_argument("--count", type=int, metavar="N", help="instances (default: 1; an update keeps their number)")
    group.add_argument(
        "--inference-ami",
        metavar="NAME",
        help="the instances' AMI, which decides the GPU's driver; with none, SageMaker chooses it (default: an AMI that "
        "can run the CUDA images)",
    )
    group.add_argument(
        "--start-seconds", type=int, metavar="N", help="the longest wait for the first /ping, 60 to 3600"
    )
    group.add_argument(
        "--download-seconds", type=int, metavar="N", help="the longest wait for the artifact, 60 to 3600"
    )


def _around(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("around it")
    group.add_argument(
        "--autoscale", metavar="MIN:MAX", help="let the number of instances follow the load, between MIN and MAX"
    )
    group.add_argument(
        "--target",
        type=float,
        metavar="N",
        help="the load that autoscaling keeps for each instance: invocations a minute (default: 60), or waiting "
        "requests of an asynchronous endpoint (default: 5)",
    )
    group.add_argument(
        "--scale-to-zero",
        action="store_true",
        help="let an asynchronous endpoint have no instance while no request waits, and at most the MAX of --autoscale (default: 1)",
    )
    group.add_argument("--alarms", action="store_true", help="make CloudWatch alarms for errors and slow answers")
    group.add_argument("--alarm-topic", default="", metavar="ARN", help="the SNS topic that the alarms notify")
    group.add_argument(
        "--alarm-ms",
        type=int,
        default=2000,
        metavar="N",
        help="an answer counts as slow after this time (default: %(default)s)",
    )
    group.add_argument(
        "--capture",
        type=int,
        metavar="PERCENT",
        help="keep this percentage of requests and answers in S3; 0 ends capturing",
    )
    group.add_argument(
        "--life",
        type=float,
        metavar="HOURS",
        help="write the end of the endpoint's life as a tag. Nothing on AWS enforces it. After that time, byoc jobs "
        "--leftovers lists the endpoint, and byoc delete --expired or --stay deletes it",
    )
    group.add_argument(
        "--stay",
        action="store_true",
        help="with --life: wait here until that time, and then delete the endpoint; Ctrl-C leaves the endpoint running",
    )


def _endpoints(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "endpoints",
        "list endpoints, or show one endpoint and its history",
        "  byoc endpoints\n  byoc endpoints dogs --history",
        f"{ROOM}.history",
    )
    verb.add_argument("name", nargs="?", metavar="NAME")
    verb.add_argument(
        "--history", action="store_true", help="show the models and configurations that were made for the endpoint"
    )
    verb.add_argument(
        "--most", type=int, default=100, metavar="N", help="the most endpoints in a list (default: %(default)s)"
    )
    add_json(verb)
    add_account(verb)


def _rollback(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "rollback",
        "give an endpoint its earlier configuration and model",
        "  byoc rollback dogs\n  byoc rollback dogs --to dogs-20261101-101500",
        f"{ROOM}.rollback",
    )
    verb.add_argument("name", metavar="NAME")
    verb.add_argument(
        "--to", metavar="CONFIGURATION", help="the configuration to go back to (default: the one that served before)"
    )
    verb.add_argument("--photo", type=Path, metavar="FILE", help="a photo that the endpoint must answer at the end")
    add_account(verb)
    add_plan(verb)
    add_following(verb)


def _delete(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "delete",
        "delete an endpoint with its configurations, models, scaling and alarms; or one model or configuration",
        "  byoc delete dogs\n  byoc delete --all-of-run run-20261101-101500\n  byoc delete --expired --yes",
        f"{ROOM}.delete",
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help="the name of an endpoint, a configuration or a model")
    what.add_argument("--all-of-run", metavar="RUN", help="delete everything that this byoc run hosts")
    what.add_argument("--expired", action="store_true", help="delete every endpoint whose --life is over")
    add_account(verb)
    add_plan(verb)


def _transform(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "transform",
        "classify every photo of a folder or an S3 prefix in one job",
        "  byoc transform photos/ --model my-training-job --out answers/\n"
        "  byoc transform s3://bucket/photos/ --model dogs-20261101-101500 --out s3://bucket/answers/",
        f"{ROOM}.transform",
    )
    verb.add_argument("source", metavar="DIR|S3", help="a folder, which is uploaded, or s3://bucket/prefix/")
    verb.add_argument("--model", required=True, metavar="MODEL", help=f"the name of a model on SageMaker, {MODEL_HELP}")
    verb.add_argument(
        "--out",
        required=True,
        metavar="DIR|S3",
        help="the folder or S3 prefix for the answers; predictions.jsonl in the folder has one line for each file",
    )
    verb.add_argument("--on", choices=["sagemaker"], dest="place", help=argparse.SUPPRESS)
    verb.add_argument("--instance", metavar="TYPE", help="default: byoc.toml's")
    verb.add_argument("--count", type=int, default=1, metavar="N", help="instances (default: %(default)s)")
    verb.add_argument("--content-type", default="application/x-image", metavar="TYPE", help="default: %(default)s")
    add_serve_image(verb)
    add_account(verb)
    add_plan(verb)
    add_sending(verb)
    add_following(verb)


def _register(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "register",
        "add a model to a group of the model registry, as a version that waits for approval",
        "  byoc register my-training-job --group dogs",
        f"{ROOM}.registry",
    )
    verb.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    verb.add_argument("--group", required=True, metavar="NAME", help="the group; it is created if it does not exist")
    verb.add_argument("--about", default="", metavar="TEXT", help="a description of the version")
    add_serve_image(verb)
    add_account(verb)
    add_plan(verb)
    verb.set_defaults(registry="register")


def _approve(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "approve",
        "approve or reject a version of the model registry",
        "  byoc approve arn:aws:sagemaker:eu-central-1:123456789012:model-package/dogs/3",
        f"{ROOM}.registry",
    )
    verb.add_argument("package", metavar="ARN")
    verb.add_argument("--reject", action="store_true", help="reject the version instead")
    verb.add_argument("--why", default="", metavar="TEXT", help="the reason, which is stored with the version")
    add_json(verb)
    add_account(verb)
    verb.set_defaults(registry="approve")
