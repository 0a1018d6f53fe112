"""Run by benchmarks.upload in .venv-sdk: SDK v2's upload_data over a folder; prints the seconds, imports left out."""

import sys
import time

import boto3
import sagemaker

folder, bucket, prefix = sys.argv[1:]
session = sagemaker.Session(boto_session=boto3.Session(), default_bucket=bucket)
started = time.monotonic()
session.upload_data(folder, bucket=bucket, key_prefix=prefix)
print(time.monotonic() - started)
