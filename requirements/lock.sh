#!/usr/bin/env bash
# Makes the lock files, which hold exact versions with hashes. Each environment whose pins conflict with others has its own file:
#   plain    training and serving without images, and the driver; without torch, whose builds differ by index
#   dev      additional packages for tests and lint
#   samples  the wheel that contains the demo's photographs
#   shared-D packages of both images for device D, cpu or cuda: torch, OpenVINO (cpu.in) or nvidia-ml-py (cuda.in), smdebug's numpy,
#            sagemaker-inference's setuptools; for openvino, those of them that the serving image without torch needs
#   train-D  the training image: the protobuf for smdebug, and the version of the toolkit that works with it
#   serve-D  the serving image
#   images   the tools that test the push of images and list their contents
#   build    the tools that install packages and build wheels while an image is built
#   sdk      the SageMaker SDK
#   notebook additional packages for notebooks, in the SDK's environment
#   peers    the other servers of the benchmarks
#   stock    the stock serving stack that tests attack
#   sagemaker  the local SageMaker
#   clients  the aws command and SDK v3, as clients for the tests of the local SageMaker
# The files are made with the images' Python, but hold the hashes of all files of a release, so that other Python versions can
# install the same versions (tests/others.sh tests that).
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
PYTHON=$(requirements/python.sh 3.11)  # the images' version
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$PYTHON" -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --upgrade pip pip-tools
compile() {
  "$tools/venv/bin/pip-compile" --quiet --generate-hashes --strip-extras \
    --no-emit-index-url --no-emit-find-links --no-header --annotation-style line "$@"
}
# torch, and the CUDA libraries that a build of it needs, stay out of the plain lock.
# openvino works without openvino-telemetry, which would send data to its maker.
compile --unsafe-package torch --unsafe-package openvino-telemetry --extra serve --extra onnx --build-deps-for editable --output-file requirements/plain.lock pyproject.toml
compile --unsafe-package torch --unsafe-package openvino-telemetry --extra serve --extra dev --constraint requirements/plain.lock --output-file requirements/dev.lock pyproject.toml
deps=$(printf -- "--unsafe-package %s " imageio lazy-loader networkx numpy packaging pillow scipy tifffile)
# shellcheck disable=SC2086  # several options; the photographs need no dependency of scikit-image
compile $deps --output-file requirements/samples.lock requirements/samples.in
for name in sdk stock sagemaker clients; do
  compile --unsafe-package torch --output-file "requirements/$name.lock" "requirements/$name.in"
done
compile --constraint requirements/sdk.lock --output-file requirements/notebook.lock requirements/notebook.in
# The peers use the versions of plain.lock; only setuptools is older, for sagemaker-inference.
sed -n 's/^\([^ ]*==[^ ]*\) .*/\1/p' requirements/plain.lock | grep -v '^setuptools==' > "$tools/plain.txt"
compile --unsafe-package torch --no-annotate --constraint "$tools/plain.txt" --output-file requirements/peers.lock requirements/peers.in
compile --allow-unsafe --output-file requirements/build.lock requirements/build.in
compile --allow-unsafe --output-file requirements/images.lock requirements/images.in
compile --unsafe-package openvino-telemetry --output-file requirements/shared-cpu.lock requirements/{shared,torch,cpu}.in
compile --unsafe-package openvino-telemetry --constraint requirements/shared-cpu.lock --output-file requirements/train-cpu.lock requirements/{shared,torch,cpu,train}.in
compile --unsafe-package openvino-telemetry --constraint requirements/shared-cpu.lock --output-file requirements/serve-cpu.lock requirements/{shared,torch,cpu,serve}.in
compile --unsafe-package openvino-telemetry --constraint requirements/serve-cpu.lock --output-file requirements/shared-openvino.lock requirements/{shared,cpu}.in
compile --unsafe-package openvino-telemetry --constraint requirements/serve-cpu.lock --output-file requirements/serve-openvino.lock requirements/{shared,cpu,serve}.in

# The CUDA images have the same versions, but torch and its libraries come only from PyPI. To hash torch's wheels, pip-compile would
# download those of every platform (20 GB). pip's report holds the hashes of only the files that the images install.
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
# triton is left out: it compiles for the GPU, with a compiler that no image has. Serving does not need cusolver either.
cuda shared "triton nvidia-cusolver" shared torch cuda
cuda train "triton" shared torch cuda train
cuda serve "triton nvidia-cusolver" shared torch cuda serve
