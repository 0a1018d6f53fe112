"""The options of the verbs that use SageMaker. Importing them loads neither boto3 nor the SDK."""
