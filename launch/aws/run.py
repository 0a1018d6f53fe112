"""`byoc run --on sagemaker`: the whole job in one command.

It uploads, tunes, trains with the best hyperparameters, deploys and predicts.
"""

import contextlib
import dataclasses
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, UserError
from classifier.names import one_line
from launch.aws import cost, marks, names, overrides, prices, quotas, sent_photos
from launch.aws.errors import Detached
from launch.aws.hosting import delete, deploy, design, invocation
from launch.aws.images import image
from launch.aws.jobs import job, results, train, trials, tune
from launch.aws.jobs.account import BUCKET, IMAGE
from launch.aws.jobs.ended import left_running
from launch.aws.jobs.job import Prepared
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.requests import calls
from launch.aws.sent_photos import Photo
from launch.aws.session import Session
from launch.aws.specification import Hosting, Model, Training, Tuning
from launch.aws.texts import items, pairs
from launch.predict import table
from train.config import parse

HOSTED = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint")
STEM = 24  # the most characters of a run's name; the names made from it are longer


@dataclass(frozen=True)
class Run:
    """The steps of a run. The hyperparameters of the training job are unknown until the search has found the best trial."""

    name: str
    tuning: Prepared[Tuning]
    training: Prepared[Training]
    hosting: Hosting
    missing: tuple[str, ...] = ()

    @property
    def session(self) -> Session:
        return self.tuning.session


def prepare(options: Namespace) -> Run:
    """Return the run that the options describe. Nothing is sent; photos are only checked. Raises UserError."""
    if options.detach:
        raise ConfigError(
            "byoc run waits for each of its jobs, because the next job needs the result; leave --detach out"
        )
    results.check_empty(options.out)
    name = str(options.name) if options.name else names.job("run", datetime.now(UTC), STEM)
    if len(name) > STEM:
        raise ConfigError(
            f"--name is {name!r}; a run's name has at most {STEM} characters, because the names of its jobs begin with it"
        )
    without_photos = options.data is None  # None is allowed only in a dry run
    if without_photos:
        options.data = f"s3://{BUCKET}/photos/"
    options.tag = [*options.tag, f"{marks.RUN}={name}"]
    chosen = overrides.parse(options.override, (*tune.OPERATIONS, *train.OPERATIONS, *HOSTED))
    tuning = tune.prepare(_options(options, tune.OPERATIONS, name=f"{name}-tune"))
    training = train.prepare(_options(options, train.OPERATIONS, name=f"{name}-train"))
    hosting, missing = _hosting(options, name, training)
    if without_photos:
        missing.append("no photos are named; pass --data DIR or --data s3://BUCKET/PREFIX/")
    model = dataclasses.replace(hosting.model, overrides=chosen)
    hosting = dataclasses.replace(hosting, model=model, overrides=chosen)
    return Run(
        name=name,
        tuning=tuning,
        training=training,
        hosting=hosting,
        missing=tuple(dict.fromkeys([*training.account.missing, *missing])),
    )


def plan(run: Run, options: Namespace) -> Plan:
    """Return the plan of all steps with their total cost; raises ConfigError for a request that AWS would refuse."""
    tuning, training = tune.plan(run.tuning), train.plan(run.training)
    known = prices.load(run.session.settings, run.session.region)
    endpoint = cost.endpoint(known, run.hosting)
    read = [] if run.missing else quotas.read(run.session, "endpoint", run.hosting.types, run.hosting.count)
    end = "deleted after the predictions" if options.delete_after else "until you delete it"
    lines = [
        *((f"tune: {label}", text) for label, text in tuning.lines),
        *((f"train: {label}", text) for label, text in training.lines if label != "settings"),
        ("train: settings", f"the hyperparameters of the best trial of {run.tuning.name}"),
        ("endpoint", f"{run.hosting.endpoint}, {run.hosting.count} x {', '.join(run.hosting.types)}, {end}"),
        ("endpoint: image", run.hosting.model.image),
        ("endpoint: cost", str(endpoint)),
        *(("endpoint: quota", str(one)) for one in read),
    ]
    return Plan(
        title=f"the run {run.name} on SageMaker",
        lines=tuple(lines),
        requests=(*tuning.requests, *training.requests, *calls(run.hosting)),
        cost=_sum(tuning.cost, training.cost, endpoint, delete_after=options.delete_after),
        warnings=(
            *tuning.warnings,
            *training.warnings,
            *(f"the quota of {one}" for one in read if one.short),
        ),
        missing=run.missing,
    )


def command(options: Namespace) -> int:
    """Run `byoc run --on sagemaker`. The exit status is 1 if a step fails, and the error then names the finished steps."""
    run = prepare(options)
    if not agreed(plan(run, options), options, run.session.settings.ask_above):
        return outcome(options)
    screen = sys.stderr if options.json else sys.stdout
    with contextlib.redirect_stdout(screen):
        done = carry_out(run, options)
    print(json.dumps(done, indent=2, default=str) if options.json else _text(run, done, options))
    return 0


def carry_out(run: Run, options: Namespace) -> dict[str, Any]:
    """Carry out all steps and return the result of each."""
    session, name = run.session, run.name
    again = f"byoc train --on sagemaker --data {options.data} --best-of {name}-tune"
    with _so_far(f"then continue with: {again}"):
        _step(f"upload, and tune: {run.tuning.wanted.max_jobs} training jobs")
        ended = job.run(run.tuning, options.sender)
    best = trials.best(ended.answer)
    with _so_far(
        f"then continue with: byoc deploy {name}-train --endpoint {name}", failed=f"the search is done: {again}"
    ):
        _step("train with the best hyperparameters, and test")
        training = train.prepare(_options(options, train.OPERATIONS, name=f"{name}-train", best_of=f"{name}-tune"))
        ended = job.run(training, options.sender)
    folder = results.download(session, ended, options.out) if options.out else None
    found = results.read(session, ended, folder, "")
    there = (
        f"the training job is done: byoc deploy {name}-train; byoc delete --all-of-run {name} deletes what is hosted"
    )
    with _so_far(there, failed=there):
        _step("deploy, and predict")
        model = dataclasses.replace(run.hosting.model, data=ended.artifact)
        deployment = design.Deployment(endpoint=name, hosting=dataclasses.replace(run.hosting, model=model))
        deployed = deploy.deploy(session, deployment, choice=options.sender)
        with left_running(session, "endpoint", name):
            predictions = _predictions(session, name, _photos(run, options))
            if options.delete_after:
                _step("delete the endpoint")
                delete.delete(session, delete.of_endpoint(session, name))
    return {
        "run": name,
        "best_trial": dataclasses.asdict(best) if best else None,
        "training": found.to_json(),
        "endpoint": None if options.delete_after else dataclasses.asdict(deployed),
        "predictions": predictions,
    }


def _options(options: Namespace, operations: Sequence[str], **changes: Any) -> Namespace:
    """Return the options of a step that sends `operations`, with defaults for the options that run does not have.

    --out is removed, because only the results of the training job go there.
    """
    own = {"image": None, "best_of": None, "resume": None, "out": None}
    step = {"override": overrides.of(options.override, operations)}
    return Namespace(**{**vars(options), **own, **step, **changes})


def _hosting(options: Namespace, name: str, training: Prepared[Training]) -> tuple[Hosting, list[str]]:
    """Return the endpoint for the artifact that the training job will make, and sentences about what the account lacks for it."""
    account, missing = training.account, []
    settings = account.session.settings
    try:
        uri = image(settings, "serve")
    except ConfigError as error:
        if not options.dry_run:
            raise
        uri = IMAGE
        missing.append(str(error))
    types = items(options.serve_instance or "") or settings.serve_types
    who = dataclasses.replace(account.identity, tags={**account.identity.tags, marks.ENDPOINT: name})
    trained = training.wanted
    model = Model(
        name=names.job(name, datetime.now(UTC)),
        image=uri,
        identity=who,
        data=f"{trained.output}/{trained.name}/output/model.tar.gz",
        environment=pairs(options.serve_env, "--serve-env"),
    )
    ami = design.ami(settings, "", types, uri)
    return Hosting(endpoint=name, config=model.name, model=model, types=types, inference_ami=ami), missing


def _sum(tuning: cost.Bound, training: cost.Bound, endpoint: cost.Bound, *, delete_after: bool) -> cost.Bound:
    """Return the most that the run costs.

    It includes its jobs, and the endpoint for a month, or for an hour if the endpoint is deleted at the end.
    """
    share = 1 / cost.MONTH if delete_after else 1.0
    why = f"the jobs, and the endpoint for {'an hour' if delete_after else 'a month'}"
    parts = [(tuning, 1.0), (training, 1.0), (endpoint, share)]
    if unknown := next((bound.why for bound, _ in parts if bound.amount is None), ""):
        return cost.Bound(amount=None, why=unknown)
    total = sum((bound.amount or 0.0) * times for bound, times in parts)
    return cost.Bound(amount=total, currency=tuning.currency, why=why)


def _photos(run: Run, options: Namespace) -> list[Photo]:
    """Return test photos. Photos in S3 are downloaded first."""
    config = parse(run.training.wanted.hyperparameters)
    if isinstance(options.data, Path):
        return sent_photos.of_folder(options.data, config)
    place = Path(tempfile.mkdtemp(prefix="byoc-test-photos-"))
    return sent_photos.of_s3(run.session, options.data, place)


def _predictions(session: Session, name: str, photos: list[Photo]) -> list[dict[str, Any]]:
    found = []
    for photo in photos:
        best = invocation.invoke(session, invocation.Target(name=name), photo.path)[0][0]
        found.append({"file": photo.name, "truth": photo.truth, **best})
    return found


@contextlib.contextmanager
def _so_far(detached: str, failed: str = "") -> Iterator[None]:
    """Add a sentence on how to continue to the error of a step: `detached` after Ctrl-C, and `failed` if the step fails."""
    try:
        yield
    except Detached as stop:
        raise Detached(f"{stop}\n{detached}", *stop.args) from None
    except UserError as error:
        if failed:
            error.args = (f"{error}\n{failed}",)
        raise


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _text(run: Run, done: dict[str, Any], options: Namespace) -> str:
    lines = ["", table(done["predictions"])] if done["predictions"] else [""]
    for split, judged in done["training"]["results"].items():
        lines.append(f"{split} accuracy {judged['accuracy']:.4f} on {judged['count']} photos")
    lines.append(f"artifact: {done['training']['artifact']}")
    if options.out:
        lines.append(f"model and records: {one_line(options.out)}")
    if options.delete_after:
        lines.append("the endpoint is deleted; nothing of the run costs money any more, except for its objects in S3")
        return "\n".join(lines)
    known = prices.load(run.session.settings, run.session.region)
    lines.append(f"the endpoint {run.name} costs money until it is deleted ({cost.endpoint(known, run.hosting)})")
    lines.append(
        f"send it a photo: byoc predict FILE --endpoint {run.name}\ndelete it: byoc delete --all-of-run {run.name}"
    )
    return "\n".join(lines)
