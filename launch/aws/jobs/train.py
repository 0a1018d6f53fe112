"""`byoc train --on sagemaker`: one training job, planned, sent, followed, and its results."""

import dataclasses
import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from launch.aws import check, cost, overrides, prices, quotas
from launch.aws.jobs import data, follow, results, resume, specify, start
from launch.aws.jobs.account import Account, account
from launch.aws.jobs.best import best_of
from launch.aws.jobs.ended import Ended, goes_on
from launch.aws.jobs.kinds import KINDS
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.requests.training import training_job
from launch.aws.senders import Choice
from launch.aws.senders import sender as find_sender
from launch.aws.session import Session
from launch.aws.specification import Training
from train.config import parse

OPERATIONS = ("CreateTrainingJob",)


@dataclass(frozen=True)
class Prepared:
    """A training job that may be sent, and the inputs that are uploaded before."""

    account: Account
    training: Training
    inputs: Sequence[data.Input]
    new_name: bool  # it is not one that the user gave


def prepare(options: Namespace) -> Prepared:
    """Return the job that the options ask for; nothing is sent, and photos are only looked at. Raises UserError."""
    specify.hyperparameters(options)  # before anything takes time
    chosen = overrides.parse(options.override, OPERATIONS)
    results.check_empty(options.out)
    found = account(options)
    base = best_of(found.session, options.best_of) if options.best_of else {}
    hyperparameters = specify.hyperparameters(options, base)
    inputs = data.inputs(options, found.root, parse(hyperparameters))
    name = specify.new_name(options, "byoc-train")
    kept = f"{found.root}/checkpoints/{name}"
    if options.resume:
        kept = resume.checkpoints(found.session, options.resume, hyperparameters)
    training = dataclasses.replace(
        specify.training(options, found, inputs, hyperparameters, name), checkpoints=kept, overrides=chosen
    )
    return Prepared(found, training, inputs, not options.name)


def plan(prepared: Prepared) -> Plan:
    """Return what is shown of a training job before it is sent; raises ConfigError for a request that AWS would refuse."""
    training, session = prepared.training, prepared.account.session
    request = training_job(training)
    check.check("CreateTrainingJob", request)
    lines = [
        ("what", f"training job {training.name} in {session.region}"),
        ("instances", instances(training)),
        ("image", training.image),
        *((one.name, str(one)) for one in prepared.inputs),
        ("settings", settings(training.hyperparameters)),
        ("checkpoints", training.checkpoints),
        ("artifact", f"{training.output}/{training.name}/output/model.tar.gz"),
        ("time", limit(training)),
    ]
    read = [] if prepared.account.missing else quota(session, training, 1)
    lines += [("quota", str(one)) for one in read]
    return Plan(
        title="a training job on SageMaker",
        lines=tuple(lines),
        requests=(("CreateTrainingJob", request),),
        cost=cost.job(prices.load(session.settings, session.region), "training", training.machines),
        warnings=tuple(f"the quota of {one}" for one in read if one.short),
        missing=prepared.account.missing,
    )


def send(prepared: Prepared, sender: Choice = "auto") -> None:
    """Upload the folders and send the request. Raises Detached after Ctrl-C where the job runs all the same."""
    training, session = prepared.training, prepared.account.session
    for one in prepared.inputs:
        data.check_there(session, one)
    carrier = find_sender(session, sender)
    start.upload(session, prepared.inputs)
    start.start(session, "training", training.name, lambda: carrier.send(training), new=prepared.new_name)


def train(prepared: Prepared, sender: Choice = "auto", file: TextIO | None = None) -> Ended:
    """Send the job, show what it does in `file` and return its end. Raises AwsError where it does not complete."""
    send(prepared, sender)
    ended = follow.follow(prepared.account.session, "training", prepared.training.name, file=file)
    ended.check()
    return ended


def command(options: Namespace) -> int:
    """`byoc train --on sagemaker`: status 1 where the job does not complete."""
    prepared = prepare(options)
    session, name = prepared.account.session, prepared.training.name
    if not agreed(plan(prepared), options, session.settings.ask_above):
        return outcome(options)
    aside = sys.stderr if options.json else sys.stdout
    if options.detach:
        send(prepared, options.sender)
        print(goes_on(KINDS["training"], name, session.region), file=aside)
        if options.json:
            print(json.dumps({"name": name, "status": "InProgress"}))
        return 0
    tell(session, train(prepared, options.sender, aside), options)
    return 0


def tell(session: Session, ended: Ended, options: Namespace) -> None:
    """Print what a completed job came to; with --out its model and records are on this machine afterwards."""
    folder = results.download(session, ended, options.out) if options.out else None
    price = prices.load(session.settings, session.region)
    found = results.read(session, ended, folder, price.currency)
    if options.json:
        print(json.dumps(found.to_json()))
        return
    print(found.text(cost.training_so_far(price, ended.answer, datetime.now(UTC))))


def instances(training: Training) -> str:
    """Return the instances of a job as one line."""
    machines = training.machines
    kind = " or else ".join(machines.types)
    more = [f"{machines.volume_gb} GB each"]
    if machines.spot:
        more.append("spot")
    if machines.keep_alive:
        more.append(f"kept {machines.keep_alive} s for the next job")
    if training.identity.security.isolation:
        more.append("no network")
    return f"{machines.count} x {kind}, {', '.join(more)}"


def limit(training: Training) -> str:
    """Return how long a job may take, as one line."""
    machines = training.machines
    text = f"at most {machines.max_run} s"
    if machines.spot:
        text += f", and {machines.max_wait or 2 * machines.max_run} s with waiting for spot instances"
    return text


def settings(hyperparameters: Mapping[str, str]) -> str:
    """Return hyperparameters as one line."""
    return ", ".join(f"{name} {value}" for name, value in hyperparameters.items()) or "the defaults"


def quota(session: Session, training: Training, jobs: int) -> list[quotas.Quota]:
    """Return the quotas that as many jobs at a time need."""
    machines = training.machines
    needed = machines.count * jobs
    found = quotas.read(session, "spot training" if machines.spot else "training", machines.types, needed)
    if machines.keep_alive:
        found += quotas.read(session, "warm pool", machines.types, needed)
    return found
