"""A training job's status, and the history of its phases that Describe answers."""

import time
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.jobs import ended
from local_test.sagemaker.store import Resource

# Texts that fit() prints, as in AWS's sample notebooks; clients do not depend on them.
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Pending": "Waiting for room on this machine",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted, waiting for spot capacity",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
    "Failed": "Training job failed",
}


def enter(cloud: Cloud, resource: Resource, phase: str, **state: Any) -> None:
    """Enter a secondary status: note the end of the last one, and begin the new one."""
    now = time.time()
    with cloud.store.changing(resource) as members:
        members.update(state)
        members["SecondaryStatus"] = phase
        history = members.setdefault("SecondaryStatusTransitions", [])
        if history:
            history[-1].setdefault("EndTime", now)
        history.append({"Status": phase, "StartTime": now, "StatusMessage": MESSAGES[phase]})
        if ended(resource):
            history[-1]["EndTime"] = now
    cloud.say(f"training job {resource.name}: {phase}{_reason(state)}")


def _reason(state: dict[str, Any]) -> str:
    reason = str(state.get("FailureReason", "")).split("\n")[0]
    return f": {reason}" if reason else ""
