"""What `byoc report` reads from AWS: a job and its outputs, its log, a prefix of S3, and an endpoint's metrics."""
