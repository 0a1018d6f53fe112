# The stock stack, for comparison: sagemaker-training's own `train`, which runs a user's script.
ARG BASE_IMAGE=debian:12.12-slim
FROM ${BASE_IMAGE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# sagemaker-training is published as source with a C extension, which pip compiles.
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends ca-certificates gcc libc6-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /opt/venv && /opt/venv/bin/pip install --quiet --no-cache-dir sagemaker-training==5.1.4 numpy==2.2.6 Pillow==13.0.0
COPY train.py /opt/ml/code/train.py
ENV PATH=/opt/venv/bin:$PATH SAGEMAKER_PROGRAM=train.py
