# The stock stack, for comparison: sagemaker-inference's default handler on multi-model-server.
ARG BASE_IMAGE=debian:12.12-slim
FROM ${BASE_IMAGE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
LABEL com.amazonaws.sagemaker.capabilities.multi-models=true \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
# Java's package needs the folder for manuals, which slim images leave out.
RUN mkdir -p /usr/share/man/man1 && apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends ca-certificates openjdk-17-jre-headless python3-venv \
    && rm -rf /var/lib/apt/lists/*
# sagemaker-inference imports pkg_resources, which later versions of setuptools no longer contain.
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /opt/venv && /opt/venv/bin/pip install --quiet --no-cache-dir \
    multi-model-server==1.1.11 sagemaker-inference==1.10.1 'setuptools<81' numpy==2.2.6 Pillow==13.0.0
COPY --chmod=755 serve.py /opt/venv/bin/serve
COPY inference.py /opt/program/inference.py
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/program
