"""Runs the classifier on SageMaker: specifications, requests, senders, and the verbs of `byoc ... --on sagemaker`."""
