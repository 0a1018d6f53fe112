"""The four kinds of jobs and endpoints that cost money.

For each kind: how AWS lists and describes it, when it has ended, and where its log is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from launch.aws import names
from launch.aws.errors import AwsError, explained
from launch.aws.session import Session

Name = Literal["training", "tuning", "transform", "endpoint"]
PAGE = 100  # the largest MaxResults of a List action
# AWS's error codes for a name that does not exist. ValidationException has many causes; only the words below in its text mean a missing
# name.
MISSING_CODES = ("ResourceNotFound", "ResourceNotFoundException")
MISSING_WORDS = ("not found", "could not find", "does not exist")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of job or endpoint, with its names in the API and in our texts."""

    name: Name
    title: str
    api: str  # the kind's part in the names of boto3's methods: describe_<api>, list_<api>s
    parameter: str
    status: str
    summaries: str  # the member that holds the list in the List action's answer
    ends: tuple[str, ...]  # statuses that do not change any more
    group: str  # the kind's log group in CloudWatch; each endpoint has its own
    longest: int = names.LONGEST  # the most characters of a name


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
            longest=names.LONGEST_TUNING,
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
    """Return the answer of the Describe action. Raises AwsError.

    AWS refuses a name that its pattern forbids, as a tuning job's of more than 32 characters. Nothing has such a name, so it is missing.
    """
    found = KINDS[kind]
    if not names.is_legal(name, found.longest):
        raise AwsError(f"{found.title} {name}: it does not exist", MISSING_CODES[0])
    with explained(f"{found.title} {name}"):
        answer: dict[str, Any] = getattr(session.client("sagemaker"), f"describe_{found.api}")(
            **{found.parameter: name}
        )
    return answer


def listed(session: Session, kind: Name, **filters: str) -> Iterator[dict[str, Any]]:
    """Yield all summaries of a List action, a hundred from each request; raises AwsError."""
    found = KINDS[kind]
    with explained(f"the list of {found.title}s"):
        pages = session.client("sagemaker").get_paginator(f"list_{found.api}s")
        for page in pages.paginate(PaginationConfig={"PageSize": PAGE}, **filters):
            yield from page[found.summaries]


def is_missing(error: AwsError) -> bool:
    """Return whether an error of AWS means that a name does not exist."""
    text = str(error).lower()
    return error.code in MISSING_CODES or (
        error.code == "ValidationException" and any(words in text for words in MISSING_WORDS)
    )


def find(session: Session, name: str) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of the job or endpoint with this name, and the answer of Describe. Makes at most four requests.

    Raises AwsError if no job or endpoint has the name.
    """
    for kind in KINDS.values():
        try:
            return kind, describe(session, kind.name, name)
        except AwsError as error:
            if not is_missing(error):
                raise
    raise AwsError(
        f"no training job, tuning job, transform job or endpoint is called {name} in {session.region}; list the jobs "
        "with byoc jobs, or name another region with --region",
        "ResourceNotFound",
    )


def state(kind: Kind, answer: Mapping[str, Any]) -> str:
    """Return the status in an answer of Describe, even if byoc does not know it."""
    return str(answer.get(kind.status, "Unknown"))
