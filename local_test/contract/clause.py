"""A clause of the contract: a sentence on what a container must do, and the source that demands it."""

from collections.abc import Callable
from typing import Any

import pytest

# The sources of clauses. "own rule" goes beyond the platform: it covers problems that users of image classifiers meet.
GUIDE = "AWS guide, {}"
API = "API, {}"
TRAINING = GUIDE.format("your-algorithms-training-algo")
OUTCOME = GUIDE.format("your-algorithms-training-signal-success-failure")
OUTPUT = GUIDE.format("your-algorithms-training-algo-output")
CONFIGURATION = GUIDE.format("your-algorithms-training-algo-running-container")
DOCKERFILE = GUIDE.format("your-algorithms-training-algo-dockerfile")
HOSTING = GUIDE.format("your-algorithms-inference-code")
MULTI_MODEL = GUIDE.format("mms-container-apis")
BATCH = GUIDE.format("your-algorithms-batch-code")
SERVERLESS = GUIDE.format("serverless-endpoints")
LOCAL_MODE = "SageMaker SDK, local mode"
TOOLKIT = "toolkit, sagemaker-training"
OWN = "own rule"


def clause(text: str, source: str) -> Callable[[Any], Any]:
    """Mark a test as the proof of one clause. The table at the end shows the clause, its source and the test's result."""
    return pytest.mark.clause(text, source)
