#!/usr/bin/env bash
# Makes the lock files: exact versions with hashes, one file for each environment whose pins disagree with another's.
#   plain    plain-process training, serving and the driver; torch itself is left out, since its builds differ by index
#   dev      what the tests and lint need beside it
#   samples  the wheel that carries the demo's photographs
#   shared-D what both images hold for device D, cpu or cuda: torch first; with smdebug's numpy and sagemaker-inference's setuptools
#   train-D  the training image: smdebug's protobuf, and the toolkit that resolves beside it
#   serve-D  the serving image
#   build    what installs packages and builds wheels while an image is built
#   sdk      the SageMaker SDK
#   peers    what benchmarks compare with
#   stock    the stock serving stack that tests attack
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3.11}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$PYTHON" -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet pip-tools
compile() {
  "$tools/venv/bin/pip-compile" --quiet --generate-hashes --strip-extras \
    --no-emit-index-url --no-emit-find-links --no-header --annotation-style line "$@"
}
# CUDA libraries come with torch where its build needs them; they and torch stay out of the plain and the train locks.
# openvino does without openvino-telemetry, and then sends nothing to anybody.
compile --unsafe-package torch --unsafe-package openvino-telemetry --extra serve --extra onnx --build-deps-for editable --output-file requirements/plain.lock pyproject.toml
compile --unsafe-package torch --unsafe-package openvino-telemetry --extra serve --extra dev --constraint requirements/plain.lock --output-file requirements/dev.lock pyproject.toml
deps=$(printf -- "--unsafe-package %s " imageio lazy-loader networkx numpy packaging pillow scipy tifffile)
# shellcheck disable=SC2086  # the photographs need none of what scikit-image needs
compile $deps --output-file requirements/samples.lock requirements/samples.in
for name in sdk peers stock; do
  compile --unsafe-package torch --output-file "requirements/$name.lock" "requirements/$name.in"
done
compile --allow-unsafe --output-file requirements/build.lock requirements/build.in
# The CPU build of torch comes from wherever pip's own settings find it, the CUDA build from PyPI and no other index.
images() {
  compile --allow-unsafe --output-file "requirements/shared-$1.lock" requirements/shared.in
  constraint="--constraint=requirements/shared-$1.lock"
  compile --allow-unsafe "$constraint" --output-file "requirements/train-$1.lock" requirements/{shared,train}.in
  compile --allow-unsafe "$constraint" --output-file "requirements/serve-$1.lock" requirements/{shared,serve,"serve-$1"}.in
}
images cpu
export PIP_CONFIG_FILE=/dev/null
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL
images cuda
