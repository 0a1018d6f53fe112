"""The four kinds of things that run and bill: how AWS lists and describes each, when it has ended, and where its log is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from launch.aws.errors import AwsError, explained
from launch.aws.session import Session

Name = Literal["training", "tuning", "transform", "endpoint"]
PAGE = 100  # MaxResults of a List action at most
# AWS's codes for a name that is not there. ValidationException says many things; only these words of it mean that.
MISSING_CODES = ("ResourceNotFound", "ResourceNotFoundException")
MISSING_WORDS = ("not found", "could not find", "does not exist")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind, in the words of the API and in ours."""

    name: Name
    title: str
    api: str  # as in describe_<api> and list_<api>s
    parameter: str
    status: str
    summaries: str  # the member of the List action's answer
    ends: tuple[str, ...]  # statuses in which nothing happens any more
    group: str  # of CloudWatch's logs; an endpoint has one of its own


KINDS: dict[Name, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="training",
            title="training job",
            api="training_job",
            parameter="TrainingJobName",
            status="TrainingJobStatus",
            summaries="TrainingJobSummaries",
            ends=("Completed", "Failed", "Stopped"),
            group="/aws/sagemaker/TrainingJobs",
        ),
        Kind(
            name="tuning",
            title="tuning job",
            api="hyper_parameter_tuning_job",
            parameter="HyperParameterTuningJobName",
            status="HyperParameterTuningJobStatus",
            summaries="HyperParameterTuningJobSummaries",
            ends=("Completed", "Failed", "Stopped", "DeleteFailed"),
            group="/aws/sagemaker/TrainingJobs",
        ),
        Kind(
            name="transform",
            title="transform job",
            api="transform_job",
            parameter="TransformJobName",
            status="TransformJobStatus",
            summaries="TransformJobSummaries",
            ends=("Completed", "Failed", "Stopped"),
            group="/aws/sagemaker/TransformJobs",
        ),
        Kind(
            name="endpoint",
            title="endpoint",
            api="endpoint",
            parameter="EndpointName",
            status="EndpointStatus",
            summaries="Endpoints",
            ends=("InService", "Failed", "OutOfService", "UpdateRollbackFailed"),
            group="/aws/sagemaker/Endpoints",
        ),
    )
}


def describe(session: Session, kind: Name, name: str) -> dict[str, Any]:
    """Return what Describe answers; raises AwsError."""
    found = KINDS[kind]
    with explained(f"{found.title} {name}"):
        answer: dict[str, Any] = getattr(session.client("sagemaker"), f"describe_{found.api}")(
            **{found.parameter: name}
        )
    return answer


def listed(session: Session, kind: Name, **filters: str) -> Iterator[dict[str, Any]]:
    """Yield the summaries of all that a List action knows, a hundred to a request; raises AwsError."""
    found = KINDS[kind]
    with explained(f"the list of {found.title}s"):
        pages = session.client("sagemaker").get_paginator(f"list_{found.api}s")
        for page in pages.paginate(PaginationConfig={"PageSize": PAGE}, **filters):
            yield from page[found.summaries]


def is_missing(error: AwsError) -> bool:
    """Return whether AWS says that a name is not there."""
    text = str(error).lower()
    return error.code in MISSING_CODES or (
        error.code == "ValidationException" and any(words in text for words in MISSING_WORDS)
    )


def find(session: Session, name: str) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of a name and what Describe answers; raises AwsError where nothing has the name. At most four calls."""
    for kind in KINDS.values():
        try:
            return kind, describe(session, kind.name, name)
        except AwsError as error:
            if not is_missing(error):
                raise
    raise AwsError(
        f"no training job, tuning job, transform job or endpoint is called {name} in {session.region}; byoc jobs lists them, "
        "--region names another region",
        "ResourceNotFound",
    )


def state(kind: Kind, answer: Mapping[str, Any]) -> str:
    """Return the status in an answer of Describe; a word that we do not know is handed on."""
    return str(answer.get(kind.status, "Unknown"))
