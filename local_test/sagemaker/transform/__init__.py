"""Batch transform jobs: every object below a prefix goes to the serving program, and its answers to S3."""
