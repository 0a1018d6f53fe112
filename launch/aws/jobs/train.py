"""`byoc train --on sagemaker`: plans, sends and follows one training job, and shows its results."""

import dataclasses
import json
from argparse import Namespace
from datetime import UTC, datetime

from launch.aws import check, cost, overrides, prices
from launch.aws.jobs import data, job, lines, results, resume, specify
from launch.aws.jobs.account import account
from launch.aws.jobs.best import best_of
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.job import Prepared
from launch.aws.plan import Plan
from launch.aws.requests.training import training_job
from launch.aws.session import Session
from launch.aws.specification import Training
from train.config import parse

OPERATIONS = ("CreateTrainingJob",)


def prepare(options: Namespace) -> Prepared[Training]:
    """Return the job that the options describe. Nothing is sent; photos are only checked. Raises UserError."""
    specify.hyperparameters(options)  # This check comes first, because it is quick.
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
    return Prepared(account=found, wanted=training, inputs=inputs, new_name=not options.name)


def plan(prepared: Prepared[Training]) -> Plan:
    """Return the plan of a training job. Raises ConfigError for a request that AWS would refuse."""
    training, session = prepared.wanted, prepared.session
    request = training_job(training)
    check.check("CreateTrainingJob", request)
    shown = [
        ("what", f"training job {training.name} in {session.region}"),
        ("instances", lines.instances(training)),
        ("image", training.image),
        *((one.name, str(one)) for one in prepared.inputs),
        ("settings", lines.settings(training.hyperparameters)),
        ("checkpoints", training.checkpoints),
        ("artifact", f"{training.output}/{training.name}/output/model.tar.gz"),
        ("time", lines.limit(training)),
    ]
    read = [] if prepared.account.missing else lines.quota(session, training, 1)
    shown += [("quota", str(one)) for one in read]
    return Plan(
        title="a training job on SageMaker",
        lines=tuple(shown),
        requests=(("CreateTrainingJob", request),),
        cost=cost.job(prices.load(session.settings, session.region), "training", training.machines),
        warnings=tuple(f"the quota of {one}" for one in read if one.short),
        missing=prepared.account.missing,
    )


def command(options: Namespace) -> int:
    """Run `byoc train --on sagemaker`. The exit status is 1 if the job does not complete."""
    prepared = prepare(options)
    return job.command(prepared, plan(prepared), options, tell)


def tell(session: Session, ended: Ended, options: Namespace) -> None:
    """Print the results of a completed job. With --out, download its model and records first."""
    folder = results.download(session, ended, options.out) if options.out else None
    price = prices.load(session.settings, session.region)
    found = results.read(session, ended, folder, price.currency)
    if options.json:
        print(json.dumps(found.to_json()))
        return
    print(found.text(cost.training_so_far(price, ended.answer, datetime.now(UTC))))
