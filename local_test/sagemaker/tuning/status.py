"""A tuning job's kind and status."""

from local_test.sagemaker.store import Resource

KIND = "hyper-parameter-tuning-job"
ENDS = frozenset({"Completed", "Failed", "Stopped"})


def status(tuning: Resource) -> str:
    return str(tuning.state["HyperParameterTuningJobStatus"])
