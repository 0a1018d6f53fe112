"""Training jobs: from CreateTrainingJob to the archives in S3."""
