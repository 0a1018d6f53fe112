"""What an account needs before the first job: byoc.toml, role, bucket, policy, photos in S3."""
