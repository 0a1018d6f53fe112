"""`byoc tune --on sagemaker`: plans and sends one tuning job, and shows a table of its trials, then the best trial."""

import dataclasses
import json
from argparse import Namespace

from classifier.errors import ConfigError
from launch.aws import check, cost, names, overrides, prices
from launch.aws.jobs import best, data, job, lines, ranges, specify, trials, warm_start
from launch.aws.jobs.account import account
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.job import Prepared
from launch.aws.plan import Plan
from launch.aws.requests.tuning import tuning_job
from launch.aws.session import Session
from launch.aws.specification import Completion, Range, Tuning
from train.config import TUNING_RANGES, parse

OPERATIONS = ("CreateHyperParameterTuningJob",)


def prepare(options: Namespace) -> Prepared[Tuning]:
    """Return the job that the options describe. Nothing is sent; photos are only checked. Raises UserError."""
    fixed = specify.hyperparameters(options)
    chosen = overrides.parse(options.override, OPERATIONS)
    wanted = ranges.ranges(options, fixed)
    most, parallel = _jobs(options, wanted)
    resource = _resource(fixed, options.strategy)
    found = account(options)
    parents = warm_start.parents(found.session, options.warm_start) if options.warm_start else {}
    inputs = data.inputs(options, found.root, parse(fixed))
    name = specify.new_name(options, "byoc-tune", names.LONGEST_TUNING)
    tuning = Tuning(
        # The job has no checkpoints: AWS does not document what happens if many training jobs share one prefix.
        training=dataclasses.replace(specify.training(options, found, inputs, fixed, name), overrides=chosen),
        ranges=wanted,
        max_jobs=most,
        parallel=parallel,
        strategy=options.strategy,
        early_stopping=options.early_stopping,
        completion=Completion(target=options.target, without_improvement=options.without_improvement),
        resource=resource,
        parents=tuple(options.warm_start),
        seed=options.seed,
    )
    if parents:
        tuning = dataclasses.replace(tuning, parents_kind=warm_start.check(tuning, parents))
    return Prepared(account=found, wanted=tuning, inputs=inputs, new_name=not options.name)


def plan(prepared: Prepared[Tuning]) -> Plan:
    """Return the plan of a tuning job. Raises ConfigError for a request that AWS would refuse."""
    tuning, session = prepared.wanted, prepared.session
    request = tuning_job(tuning)
    check.check("CreateHyperParameterTuningJob", request)
    price = prices.load(session.settings, session.region)
    training = tuning.training
    shown = [
        ("what", f"tuning job {training.name} in {session.region}: {tuning.strategy} for {tuning.objective}"),
        ("jobs", f"{tuning.max_jobs} training jobs, {tuning.parallel} at a time"),
        ("varied", "; ".join(map(ranges.shown, tuning.ranges))),
        ("instances", f"{lines.instances(training)}, for each job"),
        ("image", training.image),
        *((one.name, str(one)) for one in prepared.inputs),
        ("settings", lines.settings(training.hyperparameters)),
        ("time", f"{lines.limit(training)} for each job"),
    ]
    if tuning.parents:
        shown.append(("warm start", f"{', '.join(tuning.parents)} ({tuning.parents_kind})"))
    if training.machines.spot:
        shown.append(("checkpoints", "none; a training job that loses its spot instance starts from the beginning"))
    if {one.name for one in tuning.ranges} <= TUNING_RANGES.keys():
        shown.append(("instead", _in_one_job(tuning, price)))
    read = [] if prepared.account.missing else lines.quota(session, training, tuning.parallel)
    shown += [("quota", str(one)) for one in read]
    return Plan(
        title="a tuning job on SageMaker",
        lines=tuple(shown),
        requests=(("CreateHyperParameterTuningJob", request),),
        cost=cost.tuning(price, tuning),
        warnings=tuple(f"the quota of {one}" for one in read if one.short),
        missing=prepared.account.missing,
    )


def command(options: Namespace) -> int:
    """Run `byoc tune --on sagemaker`. The exit status is 1 if the job does not complete."""
    if options.out:
        raise ConfigError("a tuning job's best artifact stays in S3; pass --out to byoc train instead")
    prepared = prepare(options)
    return job.command(prepared, plan(prepared), options, tell)


def tell(session: Session, ended: Ended, options: Namespace) -> None:
    """Print the best trial, and the command for training with its hyperparameters."""
    found = trials.best(ended.answer)
    if options.json:
        every = trials.list_trials(session, ended.name)
        print(
            json.dumps(
                {
                    "name": ended.name,
                    "status": ended.status,
                    "best": dataclasses.asdict(found) if found else None,
                    "hyperparameters": best.hyperparameters(ended.answer, ended.name) if found else {},
                    "trials": [dataclasses.asdict(trial) for trial in every],
                }
            )
        )
        return
    if found is None:
        print("no training job has a result")
        return
    settings = lines.settings(found.hyperparameters)
    value = "" if found.value is None else f", {trials.objective(ended.answer)} {found.value:.4f}"
    print(f"best: {found.name}{value}, with {settings}")
    print(f"train with it: byoc train --on sagemaker --best-of {ended.name} ...\ndeploy it: byoc deploy {found.name}")


def _jobs(options: Namespace, wanted: tuple[Range, ...]) -> tuple[int, int]:
    """Return the number of training jobs, and the number that run at one time."""
    if options.trials < 1 or options.parallel < 1:
        raise ConfigError(f"--trials is {options.trials} and --parallel {options.parallel}; both must be at least 1")
    if options.strategy != "Grid":
        return options.trials, min(options.parallel, options.trials)
    most = ranges.combinations(wanted)
    if most > options.trials:
        raise ConfigError(
            f"a grid of these values needs {most} training jobs, and --trials is {options.trials}; pass --trials {most}, or fewer "
            "values"
        )
    return most, min(options.parallel, most)


def _resource(fixed: dict[str, str], strategy: str) -> tuple[int, int] | None:
    """Return the smallest and the largest number of epochs for Hyperband's jobs. Raises ConfigError if `epochs` has no fixed value."""
    if strategy != "Hyperband":
        return None
    if ranges.EPOCHS not in fixed:
        raise ConfigError(
            "--strategy Hyperband gives promising jobs more epochs; set the largest number, as in --set epochs=20"
        )
    return 1, int(fixed[ranges.EPOCHS])


def _in_one_job(tuning: Tuning, price: prices.Prices) -> str:
    one = cost.job(price, "training", tuning.training.machines)
    every = cost.tuning(price, tuning)
    money = "" if one.amount is None else f", at most {one.money} instead of {every.money}"
    return (
        f"one job can search the head's lr, batch-size and epochs, and computes the features only once: byoc train "
        f"--set search-trials={tuning.max_jobs}{money}"
    )
