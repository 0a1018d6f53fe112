#!/bin/sh
# Removes files that an image does not need from a folder of installed packages: tests, C++ headers, torch's own test programs. If
# torch is a CPU build, it also removes torchvision's operators and their CUDA libraries, which this build cannot load.
set -eu
packages=$1/lib/python3.11/site-packages
# scipy imports numpy.testing, which needs one file of numpy's own tests.
find "$packages" -type d \( -name test -o -name tests \) ! -path '*/numpy/_core/tests' -prune -exec rm -rf {} +
find "$packages" -path '*/numpy/_core/tests/*' -type f ! -name '_natype.py' ! -name '__init__.py' -delete
if [ -d "$packages/torch" ]; then
  rm -rf "$packages/torch/include" "$packages/torch/share"
  # Remove CUDA's headers, static libraries, code for compilers, and a second nvrtc that no library loads.
  find "$packages" -path "$packages/nvidia/*" \( -path '*/include/*' -o -name '*.a' -o -name '*.bc' -o -name 'libnvrtc*.alt.*' \) \
    ! -type d -delete
  # Keep torch_shm_manager: data loaders start it when file descriptors run out.
  find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete
  # PyPI's torchvision is built for CUDA. environment/byoc_torchvision.py says which parts work with the CPU build of torch.
  if [ ! -e "$packages/torch/lib/libtorch_cuda.so" ] && grep -q libtorch_cuda.so "$packages/torchvision/_C.so"; then
    rm -rf "$packages"/torchvision/_C.so "$packages"/torchvision/image.so "$packages/torchvision.libs"
  fi
fi
