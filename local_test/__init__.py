"""Ways to try the images without AWS: local mode, plain `docker run`, the local SageMaker, and a suite that checks the
container contract from outside.
"""
