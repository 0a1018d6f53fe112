"""A training or tuning job as SageMaker describes it, converted for a report: status, instances, billed seconds, cost."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from launch.aws import cost
from launch.aws.jobs.kinds import KINDS, Kind, state
from launch.aws.jobs.trials import Trial, best, objective, static
from launch.aws.prices import Prices
from reports.sagemaker_job import SageMakerJob, TuningTrial

NO_PRICE = "unknown: there is no price of this instance type; read AWS's list with byoc prices, or pass --price"


def training_job(name: str, answer: Mapping[str, Any], prices: Prices) -> SageMakerJob:
    """Return a described training job as a report shows it."""
    kind, config = KINDS["training"], answer.get("ResourceConfig") or {}
    reason = str(answer.get("FailureReason", ""))
    status = state(kind, answer)
    facts = [("Instances", _instances(config, bool(answer.get("EnableManagedSpotTraining"))))]
    facts += _times(answer)
    spent = cost.training_so_far(prices, answer, datetime.now(UTC))
    facts.append(("Cost", _cost(spent, prices, spot=bool(answer.get("EnableManagedSpotTraining")))))
    metrics = {one["MetricName"]: one["Value"] for one in answer.get("FinalMetricDataList") or []}
    if metrics:
        facts.append(("Last metrics", ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items())))
    facts += _places(answer)
    return SageMakerJob(
        name=name,
        kind=kind.title,
        status=status,
        reason=reason,
        ended=status in kind.ends,
        facts=tuple(facts),
        hyperparameters={key: str(value) for key, value in (answer.get("HyperParameters") or {}).items()},
        phases=_phases(answer),
    )


def tuning_job(name: str, answer: Mapping[str, Any], trials: Sequence[Trial], prices: Prices) -> SageMakerJob:
    """Return a described tuning job and its training jobs as a report shows them."""
    kind: Kind = KINDS["tuning"]
    definition, status = answer.get("TrainingJobDefinition") or {}, state(kind, answer)
    config = definition.get("HyperParameterTuningResourceConfig") or definition.get("ResourceConfig") or {}
    seconds = sum(trial.seconds or 0 for trial in trials)
    spent = cost.tuning_so_far(prices, answer, seconds)
    found = best(answer)
    facts = [
        ("Instances of each job", _instances(config, bool(definition.get("EnableManagedSpotTraining")))),
        ("Training jobs", f"{len(trials):,}, of which {sum(one.status == 'Completed' for one in trials):,} completed"),
        ("Objective", objective(answer)),
        ("Trained", f"{seconds:,} s together, on each instance"),
        ("Cost", _cost(spent, prices)),
    ]
    if found:
        facts.append(("Best training job", found.name))
    return SageMakerJob(
        name=name,
        kind=kind.title,
        status=status,
        reason=str(answer.get("FailureReason", "")),
        ended=status in kind.ends,
        facts=tuple(facts),
        hyperparameters=static(answer),
        objective=objective(answer),
        trials=tuple(
            TuningTrial(
                name=one.name,
                status=one.status,
                hyperparameters=one.hyperparameters,
                value=one.value,
                seconds=one.seconds,
                reason=one.reason,
            )
            for one in trials
        ),
    )


def _cost(spent: float | None, prices: Prices, *, spot: bool = False) -> str:
    if spent is None:
        return NO_PRICE
    how = (
        ", by --price"
        if prices.said is not None
        else ", at the on-demand price; spot instances cost less"
        if spot
        else ", on demand"
    )
    return f"{cost.money(spent, prices.currency)}{how}"


def _instances(config: Mapping[str, Any], spot: bool) -> str:
    kind = config.get("SelectedInstanceType") or config.get("InstanceType", "")
    groups = [f"{one['InstanceCount']} x {one['InstanceType']}" for one in config.get("InstanceGroups") or ()]
    count = config.get("SelectedInstanceCount") or config.get("InstanceCount", 1)
    words = [" and ".join(groups) or (f"{count} x {kind}" if kind else "not said")]
    if volume := config.get("VolumeSizeInGB"):
        words.append(f"{volume} GB each")
    return ", ".join([*words, "spot"] if spot else words)


def _times(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    if created := answer.get("CreationTime"):
        found.append(("Created", f"{created.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"))
    billed, trained = answer.get("BillableTimeInSeconds"), answer.get("TrainingTimeInSeconds")
    if billed is not None:
        saved = f" of {trained:,} s" if trained and trained != billed else ""
        found.append(("Billed", f"{billed:,} s{saved} for each instance"))
    return found


def _places(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for channel in answer.get("InputDataConfig") or ():
        source = channel.get("DataSource") or {}
        uri = (source.get("S3DataSource") or {}).get("S3Uri", "")
        if uri:
            found.append((f"Channel {channel.get('ChannelName', '')}", uri))
    image = (answer.get("AlgorithmSpecification") or {}).get("TrainingImage")
    found += [("Image", image)] if image else []
    artifact = (answer.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    return found + ([("Artifact", artifact)] if artifact else [])


def _phases(answer: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the name and the seconds of each phase. The last phase of a running job lasts until now."""
    now = datetime.now(UTC)
    found = []
    for entry in answer.get("SecondaryStatusTransitions") or ():
        ended = entry.get("EndTime") or now
        found.append((str(entry.get("Status", "")), max(0.0, (ended - entry["StartTime"]).total_seconds())))
    if found and found[-1][0] in KINDS["training"].ends:  # the end of a job is not a phase
        found.pop()
    return tuple(found)
