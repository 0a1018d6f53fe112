"""The options of the verbs that use SageMaker; importing them loads neither boto3 nor the SDK."""
