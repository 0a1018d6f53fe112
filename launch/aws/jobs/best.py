"""Finds the hyperparameters of a tuning job's best training job, with which `byoc train --best-of` trains."""

from collections.abc import Mapping
from typing import Any

from classifier.errors import ConfigError
from launch.aws.errors import AwsError
from launch.aws.jobs import kinds, trials
from launch.aws.session import Session


def best_of(session: Session, name: str) -> dict[str, str]:
    """Return all hyperparameters of the best training job so far, including those that the search does not vary.

    Raises AwsError if there is no such tuning job, and ConfigError if none of its jobs has a result.
    """
    try:
        answer = kinds.describe(session, "tuning", name)
    except AwsError as error:
        if kinds.is_missing(error):
            raise AwsError(
                f"--best-of {name}: there is no such tuning job; byoc jobs lists the jobs", error.code
            ) from None
        raise
    return hyperparameters(answer, name)


def hyperparameters(answer: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the hyperparameters of the best training job of a described tuning job. Raises ConfigError if there is no such job."""
    found = trials.best(answer)
    if found is None:
        raise ConfigError(
            f"tuning job {name} has no training job with a result yet; byoc logs {name} --follow waits for one"
        )
    return {**trials.static(answer), **found.hyperparameters}
