#!/usr/bin/env bash
# Makes the lock files: exact versions with hashes, one file for each environment whose pins disagree with another's.
#   plain    plain-process training, serving and the driver; torch itself is left out, since its builds differ by index
#   dev      what the tests and lint need beside it
#   samples  the wheel that carries the demo's photographs
#   shared-D what both images hold for device D, cpu or cuda: torch first; with smdebug's numpy and sagemaker-inference's setuptools
#   train-D  the training image: smdebug's protobuf, and the toolkit that resolves beside it
#   serve-D  the serving image
#   images   what tests the push of images and lists what they hold
#   build    what installs packages and builds wheels while an image is built
#   sdk      the SageMaker SDK
#   notebook what a notebook takes beside the SDK, in the SDK's environment
#   peers    what benchmarks compare with
#   stock    the stock serving stack that tests attack
#   sagemaker  the local SageMaker
#   clients  the aws command and SDK v3, which its tests use as clients
# Made on the images' Python, with the hashes of all files of a release, so that they install on the others that are admitted too;
# tests/others.sh tries that.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
PYTHON=$(requirements/python.sh 3.11)  # the images' own
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$PYTHON" -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --upgrade pip pip-tools
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
for name in sdk stock sagemaker clients; do
  compile --unsafe-package torch --output-file "requirements/$name.lock" "requirements/$name.in"
done
compile --constraint requirements/sdk.lock --output-file requirements/notebook.lock requirements/notebook.in
# Laid over plain.lock, so as to run on the same versions; only sagemaker-inference's setuptools is older.
sed -n 's/^\([^ ]*==[^ ]*\) .*/\1/p' requirements/plain.lock | grep -v '^setuptools==' > "$tools/plain.txt"
compile --unsafe-package torch --no-annotate --constraint "$tools/plain.txt" --output-file requirements/peers.lock requirements/peers.in
compile --allow-unsafe --output-file requirements/build.lock requirements/build.in
compile --allow-unsafe --output-file requirements/images.lock requirements/images.in
compile --allow-unsafe --output-file requirements/shared-cpu.lock requirements/shared.in
compile --allow-unsafe --constraint requirements/shared-cpu.lock --output-file requirements/train-cpu.lock requirements/{shared,train}.in
compile --unsafe-package openvino-telemetry --constraint requirements/shared-cpu.lock --output-file requirements/serve-cpu.lock requirements/{shared,serve,serve-cpu}.in

# The CUDA images hold the same versions, and torch with its libraries from PyPI and no other index. pip-compile would hash
# torch's wheels for every platform, 20 GB of them; pip's report has the hash of the one that the images take.
#   cuda NAME "LEFT OUT ..." INPUT...
cuda() {
  local name=$1 without=$2 pins=$tools/pins inputs=() input
  shift 2
  for input in "$@"; do inputs+=(--requirement "requirements/$input.in"); done
  sed -n 's/^\([a-z0-9].*==[^ ]*\).*/\1/p' "requirements/$name-cpu.lock" | sed '/^torch==/d' > "$pins"
  env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
    "$tools/venv/bin/pip" install --quiet --dry-run --ignore-installed --report "$tools/report" --constraint "$pins" "${inputs[@]}"
  # shellcheck disable=SC2086  # several names
  "$PYTHON" requirements/report.py "$tools/report" $without > "requirements/$name-cuda.lock"
}
# Without triton, which compiles for the GPU and needs a compiler that no image has; serving needs no cusolver either.
cuda shared "triton nvidia-cusolver" shared
cuda train "triton" shared train
cuda serve "triton nvidia-cusolver" shared serve
