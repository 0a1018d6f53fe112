"""The driver's verbs on SageMaker as functions, for notebooks and scripts: each does what its command does and returns values.

    from launch import verbs

    from launch.aws.hosting.wanted import Wanted

    verbs.deploy(Wanted(endpoint="dogs", model="my-training-job"))
    best = verbs.predict("dogs", "photo.jpg")[0][0]
    verbs.delete("dogs")

They show no plan and ask nothing. What is long shows its progress on standard output. Each takes the `settings` of byoc.toml and
the environment, unless others are given, and raises UserError with one sentence for what goes wrong. Specifications are those of
launch/aws/specification.py; launch.estimator, launch.tuner and launch.model give the SDK's objects instead.
"""

from argparse import Namespace
from pathlib import Path

from launch.aws import settings as account_settings
from launch.aws.account import check as account_check
from launch.aws.account import upload as uploading
from launch.aws.check import check_all
from launch.aws.hosting import artifact, planned, registry
from launch.aws.hosting import delete as deleting
from launch.aws.hosting import deploy as deploying
from launch.aws.hosting import history as endpoints
from launch.aws.hosting import predict as predicting
from launch.aws.hosting import rollback as returning
from launch.aws.hosting import transform as transforming
from launch.aws.hosting.delete import Doomed
from launch.aws.hosting.deploy import Deployed
from launch.aws.hosting.design import design
from launch.aws.hosting.registry import Registered
from launch.aws.hosting.rollback import RolledBack
from launch.aws.hosting.transform import Transformed
from launch.aws.hosting.wanted import Wanted
from launch.aws.images import image
from launch.aws.jobs import follow, leftovers, listing, start
from launch.aws.jobs import stop as stopping
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.leftovers import Leftover
from launch.aws.jobs.listing import Row
from launch.aws.jobs.stop import Stopping
from launch.aws.requests import calls
from launch.aws.senders import sender
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Machines, Training, Tuning, Version
from launch.predict import Rankings

PHOTO = "application/x-image"


def check(settings: Settings | None = None) -> list[account_check.Row]:
    """What the account has and lacks: `byoc setup --check`."""
    return account_check.check(settings or account_settings.load(Namespace()))


def upload(folder: Path | str, uri: str = "", settings: Settings | None = None) -> uploading.Uploaded:
    """Bring a folder of photos to S3, by default to where `byoc train --data FOLDER` looks for it."""
    session = _session(settings)
    return uploading.upload(session, Path(folder), uri or uploading.default_uri(session.settings, Path(folder)))


def train(training: Training, settings: Settings | None = None) -> Ended:
    """Run a training job to its end; raises AwsError where it does not complete."""
    session = _session(settings)
    check_all(calls(training))
    carrier = sender(session)
    start.start(session, "training", training.name, lambda: carrier.send(training), new=False)
    ended = follow.follow(session, "training", training.name)
    ended.check()
    return ended


def tune(tuning: Tuning, settings: Settings | None = None) -> Ended:
    """Run a tuning job to its end; raises AwsError where it does not complete."""
    session, name = _session(settings), tuning.training.name
    check_all(calls(tuning))
    carrier = sender(session)
    start.start(session, "tuning", name, lambda: carrier.send(tuning), new=False)
    ended = follow.follow(session, "tuning", name)
    ended.check()
    return ended


def deploy(wanted: Wanted, photo: Path | None = None, settings: Settings | None = None) -> Deployed:
    """Make an endpoint, or update the one of that name; it ends with a real prediction."""
    session = _session(settings)
    deployment = design(session, wanted)
    change = planned.changed(session, deployment)
    planned.planned(session, deployment, change)  # checks the requests
    return deploying.deploy(session, deployment, change, photo=photo)


def predict(endpoint: str, photo: Path | str, target_model: str = "", settings: Settings | None = None) -> Rankings:
    """Return the labels and probabilities of a file's photos, best first."""
    return predicting.predict(_session(settings), endpoint, Path(photo), target_model=target_model)


def transform(
    source: str, model: str, out: str, machines: Machines | None = None, settings: Settings | None = None
) -> Transformed:
    """Answer every photo of a folder, or of an S3 prefix; `out` is s3://... or empty, for a place of ours."""
    session = _session(settings)
    where = machines or Machines(types=session.settings.transform_types[:1])
    return transforming.transform(session, transforming.batch(session, source, model, out, where, PHOTO))


def rollback(endpoint: str, to: str = "", settings: Settings | None = None) -> RolledBack:
    """Give an endpoint its earlier configuration back, or the one that `to` names."""
    session = _session(settings)
    return returning.rollback(session, returning.choose(session, endpoint, to))


def history(endpoint: str, settings: Settings | None = None) -> list[endpoints.Entry]:
    """The configurations and models that were made for an endpoint, the newest first."""
    return endpoints.history(_session(settings), endpoint)


def delete(name: str, settings: Settings | None = None) -> Doomed:
    """Delete an endpoint with everything that was made for it; or a configuration, or a model, that no endpoint uses."""
    session = _session(settings)
    return deleting.delete(session, deleting.of_name(session, name))


def register(model: str, group: str, about: str = "", settings: Settings | None = None) -> Registered:
    """Add a model to a group of the model registry, as a version that waits for approval."""
    session = _session(settings)
    source, serving = artifact.find(session, model), image(session.settings, "serve")
    artifact.upload(session, source)
    version = Version(group=group, image=serving, data=source.uri, about=about)
    return registry.register(session, version, new_group=not registry.exists(session, group))


def approve(arn: str, settings: Settings | None = None) -> Registered:
    """Approve a version of the model registry."""
    return registry.approve(_session(settings), arn)


def jobs(most: int = 20, settings: Settings | None = None) -> list[Row]:
    """The newest jobs and endpoints, what bills first."""
    return listing.jobs(_session(settings), most)


def left(settings: Settings | None = None) -> list[Leftover]:
    """What still bills, and what has lost its configuration: `byoc jobs --leftovers`."""
    return leftovers.find(_session(settings))


def stop(name: str, settings: Settings | None = None) -> Stopping:
    """Tell a job to stop, and do not wait for it."""
    return stopping.stop(_session(settings), name)


def _session(settings: Settings | None) -> Session:
    return Session(account_settings.load(Namespace()) if settings is None else settings)
