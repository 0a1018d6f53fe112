"""The driver's verbs on SageMaker as functions, for notebooks and scripts: each does the same as its command, but returns values.

    import launch
    from launch import verbs
    from launch.aws.hosting.wanted import Wanted

    session = launch.session()
    verbs.deploy(session, Wanted(endpoint="dogs", model="my-training-job"))
    best = verbs.predict(session, "dogs", "photo.jpg")[0][0]
    verbs.delete(session, "dogs")

They show no plan and ask nothing. Long ones show their progress on standard output. The first argument of each is the account's session.
If something fails, each raises UserError with one sentence. Specifications are those of launch/aws/specification.py;
launch.estimator, launch.tuner and launch.model return objects of the SDK instead.
"""

from pathlib import Path

from classifier.errors import DataError
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
from launch.aws.jobs import best, kinds, listing, screen, start
from launch.aws.jobs import follow as following
from launch.aws.jobs import leftovers as billing
from launch.aws.jobs import stop as stopping
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.events import reader
from launch.aws.jobs.leftovers import Leftover
from launch.aws.jobs.listing import Row
from launch.aws.jobs.stop import Stopping
from launch.aws.requests import calls
from launch.aws.senders import sender
from launch.aws.session import Session
from launch.aws.specification import Machines, Training, Tuning, Version
from launch.predict import Rankings
from train.config import Config

PHOTO = "application/x-image"


def check(session: Session) -> list[account_check.Row]:
    """Check which things the account has and which it lacks, as `byoc setup --check` does."""
    return account_check.check(session.settings)


def check_photos(folder: Path | str) -> str:
    """Decode every photo and return the findings as text. Raises DataError with every problem that would make training fail."""
    from launch import check  # imported here, because it needs Pillow

    findings = check.survey(Path(folder), Config())
    if findings["fatal"]:
        raise DataError("\n".join(findings["fatal"]))
    return check.report(findings)


def upload(session: Session, folder: Path | str, uri: str = "") -> uploading.Uploaded:
    """Upload a folder of photos to S3, by default to the address where `byoc train --data FOLDER` looks for it."""
    return uploading.upload(session, Path(folder), uri)


def train(session: Session, training: Training) -> Ended:
    """Run a training job to its end. Raises AwsError if it does not complete."""
    return _run(session, training)


def tune(session: Session, tuning: Tuning) -> Ended:
    """Run a tuning job to its end. Raises AwsError if it does not complete."""
    return _run(session, tuning)


def follow(session: Session, kind: kinds.Name, name: str) -> Ended:
    """Show the progress of a job until it ends, or of an endpoint until it is in service, and return its end.

    `kind` is training, tuning, transform or endpoint. Call `.check()` on the returned end to raise AwsError if it did not end well.
    """
    return following.follow(session, kind, name)


def best_of(session: Session, name: str) -> dict[str, str]:
    """Return all hyperparameters of the best training job of a tuning job, including those that the search does not vary."""
    return best.best_of(session, name)


def epochs(session: Session, name: str) -> list[dict[str, float]]:
    """Return the metrics of each epoch of a training job, from its log. Raises AwsError.

    SageMaker's own metrics in CloudWatch are averages over a minute, and so hide short epochs.
    """
    answer = kinds.describe(session, "training", name)
    lines = reader(session, kinds.KINDS["training"], name, answer["CreationTime"].timestamp(), search="epoch=").new()
    return [found for line in lines if (found := screen.read_metrics(line.text))]


def deploy(session: Session, wanted: Wanted, photo: Path | str | None = None) -> Deployed:
    """Make an endpoint, or update the existing one, and request a real prediction at the end."""
    deployment = design(session, wanted)
    change = planned.changed(session, deployment)
    planned.planned(session, deployment, change)  # checks the requests
    return deploying.deploy(session, deployment, change, photo=Path(photo) if photo else None)


def predict(session: Session, endpoint: str, photo: Path | str, target_model: str = "") -> Rankings:
    """Return the labels and probabilities of a file's photos, best first."""
    return predicting.predict(session, endpoint, Path(photo), target_model=target_model)


def transform(session: Session, source: str, model: str, out: str, machines: Machines | None = None) -> Transformed:
    """Classify every photo of a folder or of an S3 prefix. `out` is an address s3://..., or empty for the default address."""
    where = machines or Machines(types=session.settings.transform_types[:1])
    return transforming.transform(session, transforming.batch(session, source, model, out, where, PHOTO))


def rollback(session: Session, endpoint: str, to: str = "") -> RolledBack:
    """Return an endpoint to its earlier configuration, or to the configuration `to`."""
    return returning.rollback(session, returning.choose(session, endpoint, to))


def history(session: Session, endpoint: str) -> list[endpoints.Entry]:
    """Return the configurations and models that were made for an endpoint, the newest first."""
    return endpoints.history(session, endpoint)


def delete(session: Session, name: str) -> Doomed:
    """Delete an endpoint with everything that was made for it, or delete one configuration or model. Return what was deleted.

    Raises AwsError if nothing has the name, or if a live endpoint uses the configuration or the model.
    """
    return deleting.delete(session, deleting.of_name(session, name))


def register(session: Session, model: str, group: str, about: str = "") -> Registered:
    """Add a model to a group of the model registry, as a version that waits for approval."""
    source, serving = artifact.find(session, model), image(session.settings, "serve")
    artifact.upload(session, source)
    version = Version(group=group, image=serving, data=source.uri, about=about)
    return registry.register(session, version, new_group=not registry.exists(session, group))


def approve(session: Session, arn: str) -> Registered:
    """Approve a version of the model registry."""
    return registry.approve(session, arn)


def jobs(session: Session, most: int = 20) -> list[Row]:
    """Return the newest jobs and endpoints. Those that cost money come first."""
    return listing.jobs(session, most)


def leftovers(session: Session) -> list[Leftover]:
    """Return everything in the region that still costs money, and the endpoints that have lost their configuration or model."""
    return billing.find(session)


def stop(session: Session, name: str) -> Stopping:
    """Ask a job to stop, and do not wait for its end."""
    return stopping.stop(session, name)


def _run(session: Session, wanted: Training | Tuning) -> Ended:
    kind: kinds.Name = "tuning" if isinstance(wanted, Tuning) else "training"
    name = wanted.training.name if isinstance(wanted, Tuning) else wanted.name
    check_all(calls(wanted))
    carrier = sender(session)
    start.start(session, kind, name, lambda: carrier.send(wanted), new=False)
    ended = following.follow(session, kind, name)
    ended.check()
    return ended
