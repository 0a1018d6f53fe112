"""What carries requests out: boto3, or the SDK in an environment of its own."""
