"""Reads from AWS the data for `byoc report`: a job and its outputs, its log, an S3 prefix, and an endpoint's metrics."""
