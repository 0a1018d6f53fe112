"""What takes the classifier to SageMaker: specifications, requests, senders, and the verbs of `byoc ... --on sagemaker`."""
