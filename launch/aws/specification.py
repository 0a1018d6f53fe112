"""Specifications, as frozen values: a training job, a tuning job, a model, an endpoint, a transform job.

They hold no defaults of the SDK and no names that the SDK makes. requests/ turns them into the requests of the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

InputMode = Literal["File", "FastFile", "Pipe"]
Strategy = Literal["Bayesian", "Random", "Hyperband", "Grid"]
EndpointKind = Literal["real-time", "serverless", "async", "multi-model"]


@dataclass(frozen=True, kw_only=True)
class Security:
    """Network and encryption of a job or an endpoint. The two keys are ids or ARNs of KMS keys; an empty one means AWS's own key."""

    isolation: bool = False  # whether containers get no network
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # security groups
    encrypt_traffic: bool = False  # whether traffic between the hosts of a job is encrypted
    volume_key: str = ""
    output_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Members of every request: the role that SageMaker assumes, the tags, and the security settings."""

    role: str  # the role's whole ARN
    tags: Mapping[str, str] = field(default_factory=dict)
    security: Security = Security()


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The instances of a training job or of a transform job, and their time limits in seconds."""

    types: tuple[str, ...]  # instance types in order of preference; several only where the API allows it
    count: int = 1
    volume_gb: int = 30
    max_run: int = 3600
    spot: bool = False
    max_wait: int = 0  # the longest time of a spot job, including the wait for instances; 0 means twice max_run
    keep_alive: int = 0  # the time for which a warm pool waits for the next matching job; 0 means no warm pool
    retries: int = 0  # how many times SageMaker repeats the job after an internal error


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One input of a training job: an S3 prefix that ends with /, and how it reaches the container."""

    name: str
    uri: str
    mode: InputMode = "File"
    content_type: str = ""
    distribution: Literal["FullyReplicated", "ShardedByS3Key"] = "FullyReplicated"


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training job."""

    name: str
    image: str
    identity: Identity
    machines: Machines
    channels: tuple[Channel, ...]
    output: str  # s3://bucket/prefix; below it the artifact is written to <name>/output/model.tar.gz
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    checkpoints: str = ""  # s3://bucket/prefix; empty means that no checkpoints are kept
    environment: Mapping[str, str] = field(default_factory=dict)
    # Values that override members of requests, by operation and then by member.
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Range:
    """The values that a tuning job may try for one hyperparameter: a list, or everything between two numbers."""

    name: str
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    whole: bool = False  # whether only whole numbers are tried
    scale: Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"] = "Auto"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Conditions that end a tuning job before all its training jobs have run; by default there are none."""

    target: float | None = None  # the value of the objective that ends the tuning job
    # The number of training jobs without a better value that ends the tuning job.
    without_improvement: int | None = None
    convergence: bool = False


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A tuning job: the training job that it repeats, and the ranges of the hyperparameters that vary.

    Its name is the name of `training`.
    """

    training: Training
    ranges: tuple[Range, ...]
    max_jobs: int = 8
    parallel: int = 2
    strategy: Strategy = "Bayesian"
    objective: str = "validation:accuracy"
    maximize: bool = True
    early_stopping: bool = False
    completion: Completion = Completion()
    resource: tuple[int, int] | None = None  # the fewest and the most epochs of a training job, for Hyperband
    parents: tuple[str, ...] = ()  # names of earlier tuning jobs from which this one learns
    parents_kind: Literal["IdenticalDataAndAlgorithm", "TransferLearning"] = "TransferLearning"
    seed: int | None = None
    max_run: int = 0  # time limit of the whole tuning job in seconds; 0 means no limit


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model for an endpoint or a transform job: the serving image with an artifact."""

    name: str
    image: str
    identity: Identity
    data: str  # s3://.../model.tar.gz, or the prefix of a multi-model endpoint's archives
    multi: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    package: str = ""  # ARN of a version in the model registry, which replaces image and data
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Serverless:
    """A serverless endpoint's size."""

    memory_mb: int = 4096
    concurrency: int = 5
    provisioned: int = 0


@dataclass(frozen=True, kw_only=True)
class Asynchronous:
    """The S3 prefix of an asynchronous endpoint's answers, and how many answers an instance computes at a time."""

    output: str
    failures: str = ""
    concurrency: int = 0  # 0 means that SageMaker chooses


@dataclass(frozen=True, kw_only=True)
class Capture:
    """The share of requests and answers that an endpoint keeps, and their S3 prefix."""

    uri: str
    percent: int = 100


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """An endpoint for a model. Its name never changes; the model and the configuration get new names at each deployment."""

    endpoint: str
    config: str  # the configuration's name
    model: Model
    types: tuple[str, ...] = ()  # instance types in order of preference; empty for a serverless endpoint
    count: int = 1
    serverless: Serverless | None = None
    asynchronous: Asynchronous | None = None
    capture: Capture | None = None
    inference_ami: str = ""
    start_seconds: int = 0  # the longest wait for the first /ping, in seconds; 0 means SageMaker's own limit
    download_seconds: int = 0
    detailed_metrics: bool = False  # whether SageMaker reads the container's /metrics, for which it charges by the GB
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def kind(self) -> EndpointKind:
        if self.serverless:
            return "serverless"
        if self.asynchronous:
            return "async"
        return "multi-model" if self.model.multi else "real-time"


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A transform job: answers for every photo below an S3 prefix."""

    name: str
    model: str
    source: str
    output: str
    machines: Machines
    tags: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "image/jpeg"
    accept: str = "application/json"
    strategy: Literal["", "SingleRecord", "MultiRecord"] = ""
    split: Literal["", "None", "Line", "RecordIO", "TFRecord"] = ""
    assemble: Literal["", "None", "Line"] = ""
    max_payload_mb: int = 0  # the most MB of one request; 0 means the container's own value
    concurrency: int = 0
    output_key: str = ""
    volume_key: str = ""
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Autoscale:
    """Autoscaling: the number of instances follows the load, between `low` and `high`."""

    low: int
    high: int
    target: float  # invocations a minute for each instance, or waiting requests for each instance if `queue` is true
    queue: bool = False  # whether `target` counts waiting requests, for an asynchronous endpoint

    @property
    def to_zero(self) -> bool:
        return self.low == 0


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """CloudWatch alarms for an endpoint: for errors, and for answers that take longer than `milliseconds`."""

    milliseconds: int = 2000
    topic: str = ""  # ARN of an SNS topic; if it is empty, nobody is notified, but an update is still rolled back


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a model in the model registry."""

    group: str
    image: str
    data: str
    about: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    # Values that the registry keeps with the version, such as metrics.
    facts: Mapping[str, str] = field(default_factory=dict)
