"""A clause of the contract: what a container must do, and who says so."""

from collections.abc import Callable
from typing import Any

import pytest

# Who says so. "own rule" is wider than the platform's: what users of image classifiers run into.
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
    """Mark a test as the proof of one clause; both show in the table at the end."""
    return pytest.mark.clause(text, source)
