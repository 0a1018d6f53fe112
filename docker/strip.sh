#!/bin/sh
# Removes from a folder of installed packages what nobody runs in an image: tests, C++ headers, torch's own test programs, and
# torchvision's operators with their CUDA libraries where the torch beside them cannot load them.
set -eu
packages=$1/lib/python3.11/site-packages
# numpy.testing, which scipy imports, needs one file of numpy's own tests.
find "$packages" -type d \( -name test -o -name tests \) ! -path '*/numpy/_core/tests' -prune -exec rm -rf {} +
find "$packages" -path '*/numpy/_core/tests/*' -type f ! -name '_natype.py' ! -name '__init__.py' -delete
if [ -d "$packages/torch" ]; then
  rm -rf "$packages/torch/include" "$packages/torch/share"
  # Of CUDA: headers, static libraries, code for compilers, and a second nvrtc that no library names.
  find "$packages" -path "$packages/nvidia/*" \( -path '*/include/*' -o -name '*.a' -o -name '*.bc' -o -name 'libnvrtc*.alt.*' \) \
    ! -type d -delete
  # Of torch's programs data loaders use torch_shm_manager, when file descriptors run out.
  find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete
  # PyPI's torchvision beside the CPU build of torch; environment/byoc_torchvision.py says what works then.
  if [ ! -e "$packages/torch/lib/libtorch_cuda.so" ] && grep -q libtorch_cuda.so "$packages/torchvision/_C.so"; then
    rm -rf "$packages"/torchvision/_C.so "$packages"/torchvision/image.so "$packages/torchvision.libs"
  fi
fi
