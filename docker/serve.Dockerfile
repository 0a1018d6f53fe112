# The Serving image. Build it with make, or: docker build --file docker/serve.Dockerfile --build-arg DEVICE=cpu .
# Down to the stage `packages` this is the same text in both Dockerfiles, so that those layers are built and stored once.
#   BASE_IMAGE  Debian 12 with its Python 3.11, by exact tag
#   DEVICE      cuda or cpu
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL  where pip looks, instead of or beside PyPI
#   secret ca   a bundle of certificates, for builds behind a proxy that has its own
ARG BASE_IMAGE=debian:12.12-slim
ARG DEVICE=cuda

# What both images stand on: Debian's own Python and certificates.
# hadolint ignore=DL3029
FROM --platform=linux/amd64 ${BASE_IMAGE} AS base
SHELL ["/bin/sh", "-euc"]
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean; \
    apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3; \
    rm -rf /var/log/* /var/lib/dpkg/*-old /var/cache/debconf/* /var/cache/ldconfig

# The compiler, and pip with what builds wheels, stay in this stage.
FROM base AS builder
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gcc libc6-dev python3-dev python3-venv; \
    python3 -m venv /opt/tools; \
    python3 -m venv --without-pip /opt/venv
COPY docker/pip.sh /usr/local/bin/pip
COPY docker/strip.sh /usr/local/bin/strip-packages
COPY requirements/build.lock /locks/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca \
    pip --python /opt/tools/bin/python install --no-deps --require-hashes --requirement /locks/build.lock

# The packages that both images hold, torch first among them, in one layer that both share.
FROM builder AS shared
ARG DEVICE
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY requirements/shared-${DEVICE}.lock /locks/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=bind,source=wheels,target=/wheels \
    [ "$DEVICE" = cuda ] || export PIP_FIND_LINKS=/wheels; \
    pip install --no-deps --require-hashes --requirement "/locks/shared-$DEVICE.lock"; \
    strip-packages /opt/venv

# What this image alone holds beside them.
FROM shared AS packages
COPY requirements/serve-${DEVICE}.lock /locks/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca \
    pip install --no-deps --require-hashes --no-build-isolation --prefix /opt/packages --requirement "/locks/serve-$DEVICE.lock"; \
    strip-packages /opt/packages
# The model server would unpack its native transport into /tmp, where a read-only container often may not execute;
# Java looks into /usr/lib first.
RUN python3 -m zipfile --extract /opt/packages/lib/python3.11/site-packages/mms/frontend/model-server.jar /opt/jar; \
    install -D --mode 0644 --target-directory /opt/native /opt/jar/META-INF/native/libnetty_transport_native_epoll_x86_64.so

# The project's own code, last.
FROM packages AS project
COPY docker/pip.conf /opt/project/
COPY LICENSE README.md pyproject.toml /project/
COPY classifier /project/classifier
COPY environment /project/environment
COPY serve /project/serve
RUN pip --python /opt/tools/bin/python wheel --no-deps --no-build-isolation --wheel-dir /dist /project; \
    pip install --no-cache-dir --no-deps --no-index --prefix /opt/project /dist/*.whl; \
    find /opt/project/bin -type f ! -name serve -delete; \
    pip freeze > /opt/project/constraints.txt; \
    sed -i -E '/^torch(vision)?==/!d' /opt/project/constraints.txt

FROM base AS image-cpu

FROM base AS image-cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM image-${DEVICE}
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BYOC_PROGRAM=serve
COPY docker/entrypoint.sh /usr/local/bin/byoc-entrypoint
COPY --from=shared /opt/venv /opt/venv
COPY --from=packages /opt/packages /opt/venv
COPY --from=packages /opt/native /usr/lib
COPY --from=project /opt/project /opt/venv
ARG DEVICE
RUN --mount=type=bind,source=docker/smoke.py,target=/tmp/smoke.py python /tmp/smoke.py serve "$DEVICE"
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/byoc-entrypoint"]
CMD ["serve"]
LABEL org.opencontainers.image.title="byoc-classifier-serve" \
      org.opencontainers.image.description="Serving image of byoc-classifier for Amazon SageMaker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      com.amazonaws.sagemaker.capabilities.multi-models="true" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
