"""`byoc transform`: one job classifies all photos of a folder or of an S3 prefix."""

import json
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, DataError
from classifier.names import one_line
from launch.aws import buckets, check, cost, identity, images, names, overrides, plan, prices, quotas, settings
from launch.aws.account import upload
from launch.aws.errors import AwsError, Detached, explained
from launch.aws.hosting import answers, artifact, endpoint
from launch.aws.hosting.answers import Answer
from launch.aws.hosting.artifact import Artifact, below
from launch.aws.jobs import follow, kinds, start
from launch.aws.requests import hosting as model_requests
from launch.aws.requests import transform as requests
from launch.aws.senders import Choice, sender
from launch.aws.session import Session
from launch.aws.specification import Machines, Model, Transform

STEM = "transform"
OPERATIONS = ("CreateModel", "CreateTransformJob")
LINES = 20  # number of answers that are shown on the screen; the file has all
KEPT = "the model {0} was made for this job and costs nothing; delete it when the job has ended: byoc delete {0}"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A transform job, the folder that is uploaded for it, and the model that is made for it if no existing model is used."""

    job: Transform
    folder: Path | None = None  # the photos on this machine that are uploaded
    model: Model | None = None
    artifact: Artifact | None = None


@dataclass(frozen=True, kw_only=True)
class Transformed:
    """A transform job that was sent. `answers` are filled in only if byoc waited for its end."""

    job: str
    output: str
    answers: tuple[Answer, ...] = field(default=())
    model: str = ""  # name of the model that was made for this job alone, if byoc did not wait for the job and so did not delete the model

    @property
    def refused(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if answer.error)


def batch(session: Session, source: str, model: str, out: str, machines: Machines, content_type: str) -> Batch:
    """Return the job that classifies all photos of `source`. `model` is the name of a model on SageMaker, or an artifact in a form that
    deploy accepts.

    Raises ConfigError for a source or a model that cannot be used, and DataError for a folder without photos.
    """
    now = datetime.now(UTC)
    name = names.job(STEM, now)
    folder = None if source.startswith("s3://") else Path(source)
    if folder and not answers.files(folder):
        raise DataError(f"{one_line(folder)} holds no files; name a folder of photos")
    who = identity.identity(session)
    there = endpoint.model(session, model) if names.endpoint(model) == model else None
    made, found = None, None
    if there is None:
        found = artifact.find(session, model)
        made = Model(name=name, image=images.image(session.settings, "serve"), identity=who, data=found.uri)
    elif there.multi:
        raise ConfigError(f"the model {model} is multi-model, which a transform job cannot use; name one archive of it")
    job = Transform(
        name=name,
        model=made.name if made else model,
        source=below(session, STEM, name, "photos/") if folder else f"{source.rstrip('/')}/",
        output=f"{out.rstrip('/')}/{name}" if out.startswith("s3://") else below(session, STEM, name, "answers"),
        machines=machines,
        tags=who.tags,
        content_type=content_type,
        output_key=who.security.output_key,
        volume_key=who.security.volume_key,
    )
    return Batch(job=job, folder=folder, model=made, artifact=found)


def transform(session: Session, wanted: Batch, *, choice: Choice = "auto", wait: bool = True) -> Transformed:
    """Carry out a transform job and return the answers, in the order of the photos' names.

    If the model refuses a photo, its Answer holds the error, and the other Answers hold labels. Raises AwsError if the job fails for
    another reason.
    """
    job = wanted.job
    for bucket in dict.fromkeys(buckets.split(uri)[0] for uri in (job.source, job.output)):
        buckets.check(session, bucket)
    if wanted.artifact:
        artifact.upload(session, wanted.artifact)
    if wanted.folder:
        upload.upload(session, wanted.folder, job.source)
    try:
        start.start(session, "transform", job.name, lambda: _send(session, wanted, choice), new=True)
        if not wait:
            return Transformed(job=job.name, output=job.output, model=wanted.model.name if wanted.model else "")
        ended = follow.follow(session, "transform", job.name)
    except Detached as stop:  # the job still runs and needs its model
        stop.text += _kept(wanted)
        raise
    except KeyboardInterrupt as stop:
        try:
            _forget(session, wanted)
        except AwsError as error:
            raise Detached(f"{error}{_kept(wanted)}", *stop.args) from None
        raise
    except AwsError as error:
        if _runs(session, job.name):
            raise type(error)(f"{error}{_kept(wanted)}", error.code) from None
        _forget(session, wanted)
        raise
    _forget(session, wanted)
    found = answers.read(session, job)
    if not ended.good and not any(answer.error for answer in found):
        ended.check()
    if not ended.good and not any(answer.predictions for answer in found):
        ended.check()
    return Transformed(job=job.name, output=job.output, answers=tuple(found))


def command(options: Namespace) -> int:
    """`byoc transform`: returns status 1 if a photo was refused."""
    session = Session(settings.load(options))
    out = None if options.out.startswith("s3://") else Path(options.out)
    if out and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"--out {one_line(out)} is not a new or empty folder; answers are never overwritten, name another"
        )
    if out and options.detach:
        raise ConfigError(
            "answers come to this machine when the job has ended; leave --detach out, or name --out s3://..."
        )
    types = (options.instance or session.settings.transform_types[0],)
    machines = Machines(types=types, count=options.count)
    wanted = batch(session, options.source, options.model, options.out, machines, options.content_type)
    chosen = overrides.parse(options.override, OPERATIONS)
    wanted = _overridden(wanted, chosen)
    if not plan.agreed(_plan(session, wanted), options, session.settings.ask_above):
        return plan.outcome(options)
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        done = transform(session, wanted, choice=options.sender, wait=not options.detach)
    if out and done.answers:
        answers.write(out, done.answers)
    print(json.dumps(asdict(done), indent=2) if options.json else _text(done, out))
    for answer in done.refused:
        print(f"{answer.file}: {answer.error}", file=sys.stderr)
    return int(bool(done.refused))


def _overridden(wanted: Batch, chosen: dict[str, dict[str, object]]) -> Batch:
    model = replace(wanted.model, overrides=chosen) if wanted.model else None
    return replace(wanted, job=replace(wanted.job, overrides=chosen), model=model)


def _plan(session: Session, wanted: Batch) -> plan.Plan:
    job = wanted.job
    sent: list[tuple[str, dict[str, Any]]] = []
    if wanted.model:
        sent.append(("CreateModel", model_requests.model(wanted.model)))
    sent.append(("CreateTransformJob", requests.transform_job(job)))
    overrides.check_sent(job.overrides, [operation for operation, _ in sent])
    check.check_all(sent)
    where = f"{len(answers.files(wanted.folder))} files of {one_line(wanted.folder)}" if wanted.folder else job.source
    lines = [
        ("photos", where + (f", uploaded to {job.source}" if wanted.folder else "")),
        (
            "model",
            f"{wanted.artifact.where}, as a model that is deleted after the job" if wanted.artifact else job.model,
        ),
        ("answers", job.output),
        ("instances", f"{job.machines.count} x {job.machines.types[0]}"),
    ]
    read = quotas.read(session, "transform", job.machines.types, job.machines.count)
    lines += [("quota", str(one)) for one in read]
    known = prices.load(session.settings, session.region)
    one = cost.hour(known, "transform", job.machines.types, job.machines.count)
    # A transform job has no time limit, so its cost has no upper bound.
    hour = one.why if one.amount is None else f"{one.money} an hour ({one.why}); AWS does not limit its time"
    return plan.Plan(
        title=f"transform job {job.name} in {session.region}",
        lines=tuple(lines),
        requests=tuple(sent),
        cost=cost.Bound(amount=None, why=hour),
        warnings=tuple(f"the quota of {one}" for one in read if one.short),
    )


def _send(session: Session, wanted: Batch, choice: Choice) -> None:
    """Create the job's own model if it has one, and then the job."""
    if wanted.model:
        with explained(f"model {wanted.model.name}"):
            session.client("sagemaker").create_model(**model_requests.model(wanted.model))
    sender(session, choice).send(wanted.job)


def _runs(session: Session, name: str) -> bool:
    """Return whether a job exists and has not ended. Return True also if AWS does not answer."""
    kind = kinds.KINDS["transform"]
    try:
        return kinds.state(kind, kinds.describe(session, "transform", name)) not in kind.ends
    except AwsError as error:
        return not kinds.is_missing(error)


def _forget(session: Session, wanted: Batch) -> None:
    """Delete the model that was made only for this job."""
    if wanted.model:
        name = wanted.model.name
        endpoint.delete(f"model {name}", session.client("sagemaker").delete_model, ModelName=name)


def _kept(wanted: Batch) -> str:
    """Return a sentence on how to delete the model that was made for a job; empty if no model was made."""
    return f"\n{KEPT.format(wanted.model.name)}" if wanted.model else ""


def _text(done: Transformed, out: Path | None) -> str:
    if not done.answers:
        text = f"transform job {done.job} runs; its answers come to {done.output}\nfollow it: byoc logs {done.job} --follow"
        return f"{text}\n{KEPT.format(done.model)}" if done.model else text
    good = [answer for answer in done.answers if not answer.error]
    lines = [line for answer in good[:LINES] for line in answer.lines()]
    if len(good) > LINES:
        lines.append(f"and {len(good) - LINES} more")
    where = one_line(out / answers.FILE) if out else done.output
    lines.append(f"{len(good)} of {len(done.answers)} files answered: {where}")
    return "\n".join(lines)
