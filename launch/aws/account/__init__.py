"""Prepares an account for the first job: byoc.toml, role, bucket, policy, and photos in S3."""
