"""Computes the cost of a job and of its findings: seconds, and money if the price of an instance's hour is given. No price is guessed."""

from dataclasses import dataclass

from reports.rules.verdict import Evidence, Verdict

# Rules whose `loss` is a share of the whole job's time: the machines were paid for, but waited.
OF_THE_JOB = ("LowGPUUtilization", "CPUBottleneck", "IOBottleneck")
# Rules whose `loss` is a share of the steps' time.
OF_THE_STEPS = ("DataWait",)


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of an hour of one instance, and the known facts about the instances that were paid for."""

    hour: float
    currency: str
    source: str  # where the price was read: an option or a file
    instances: int | None = None  # None: the number of hosts in the records, at least 1
    instance_type: str = ""
    billed_seconds: float | None = None  # billed seconds of each instance


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The time that a job or a finding took on each instance, and its price. `money` is None if no price is known."""

    seconds: float
    instances: int
    money: float | None
    currency: str


def job_cost(evidence: Evidence, price: Price | None) -> Cost | None:
    """Return the cost of the whole job; None if its duration is not known."""
    seconds = _job_seconds(evidence, price)
    return _cost(seconds, evidence, price) if seconds else None


def finding_cost(rule: str, verdict: Verdict, evidence: Evidence, price: Price | None) -> Cost | None:
    """Return the cost of a triggered rule's finding; None if the finding costs no time, or if the time is not known.

    The costs of several findings must not be added, because findings overlap. Example: two rules find a GPU that waits for the processor.
    """
    if verdict.state != "triggered":
        return None
    seconds = verdict.seconds
    if rule in OF_THE_JOB:
        seconds = verdict.loss * (_job_seconds(evidence, price) or 0)
    elif rule in OF_THE_STEPS and evidence.run:
        seconds = verdict.loss * sum(epoch.seconds or 0 for epoch in evidence.run.epochs)
    return _cost(seconds, evidence, price) if seconds else None


def _cost(seconds: float, evidence: Evidence, price: Price | None) -> Cost:
    instances = (price.instances if price else None) or _hosts(evidence)
    money = seconds / 3600 * instances * price.hour if price else None
    return Cost(seconds=seconds, instances=instances, money=money, currency=price.currency if price else "")


def _hosts(evidence: Evidence) -> int:
    profile = evidence.profile
    if profile is None:
        return 1
    return max(1, len({one.host for one in profile.series}), len({one.host for one in profile.usage}))


def _job_seconds(evidence: Evidence, price: Price | None) -> float | None:
    """Return the seconds of the job: the billed seconds, else the duration in its records, else the duration in its system metrics."""
    if price and price.billed_seconds:
        return price.billed_seconds
    run, profile = evidence.run, evidence.profile
    if run and (total := run.part_seconds.get("total")):
        return total
    if run and run.job and run.job.started and run.last_time and run.last_time > run.job.started:
        return run.last_time - run.job.started
    ends = [(one.times[0], one.times[-1]) for one in profile.series] if profile else []
    return float(max(last for _, last in ends) - min(first for first, _ in ends)) if ends else None
