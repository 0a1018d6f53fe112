#!/bin/sh
# Removes from a folder of installed packages what nobody runs in an image: tests, C++ headers, torch's own test programs.
set -eu
packages=$1/lib/python3.11/site-packages
# numpy.testing, which scipy imports, needs one file of numpy's own tests.
find "$packages" -type d \( -name test -o -name tests \) ! -path '*/numpy/_core/tests' -prune -exec rm -rf {} +
find "$packages" -path '*/numpy/_core/tests/*' -type f ! -name '_natype.py' ! -name '__init__.py' -delete
if [ -d "$packages/torch" ]; then
  rm -rf "$packages/torch/include" "$packages/torch/share"
  # torch_shm_manager is what data loaders share tensors through when file descriptors run out.
  find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete
fi
