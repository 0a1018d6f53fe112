"""The CUDA libraries that the images keep, compared with those that torch and cuDNN open. This needs no GPU."""

import re
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch

from tests.places import INSIDE

pytestmark = pytest.mark.skipif(not (INSIDE and torch.version.cuda), reason="this test runs only inside a CUDA image")
# A library has the name with which torch is linked. A part of cuDNN is named without its version, which cuDNN adds.
NAME = re.compile(
    rb"lib(?:cudnn|cublas|cusparse|curand|cufft|cusolver|cufile|cupti|nvrtc|nvJitLink|nccl|nvshmem)\w*\.so\.\d+"
)
PART = re.compile(rb"libcudnn_\w+\.so(?![\w.])")
# cuDNN names a part that its package does not hold yet. Serving solves no equations, so its image leaves out libcusolver's 245 MB.
ABSENT = {"libcudnn_engines_tensor_ir.so.9"} | ({"libcusolver.so.12"} if INSIDE == "serve" else set())


@pytest.fixture(scope="module")
def installed() -> dict[str, Path]:
    """The shared libraries of torch and of the nvidia packages, by name."""
    packages = Path(torch.__file__).parent.parent
    return {path.name: path for folder in ("torch", "nvidia") for path in (packages / folder).glob("**/*.so*")}


@pytest.fixture(scope="module")
def shipped() -> set[str]:
    """The names of the libraries that the packages contain."""
    files = [file for one in distributions() if one.name.startswith("nvidia") for file in one.files or ()]
    return {file.name for file in files if ".so" in file.name}


def test_every_library_that_torch_or_another_library_names_is_in_the_image(installed: dict[str, Path]) -> None:
    named: dict[str, set[str]] = defaultdict(set)
    for library, path in installed.items():
        data = path.read_bytes()
        names = set(NAME.findall(data)) | {name + b".9" for name in PART.findall(data)}
        for name in names:
            named[name.decode()].add(library)
    absent = {name: sorted(by) for name, by in named.items() if name not in installed}
    assert absent.keys() == ABSENT, absent
    for purpose in ("cudnn_cnn", "cublasLt", "cusparse", "curand", "cufft", "nccl"):
        assert [name for name in named if name.startswith(f"lib{purpose}.so.")], f"no library names lib{purpose}"


def test_of_the_shipped_libraries_only_a_second_nvrtc_was_removed(
    installed: dict[str, Path], shipped: set[str]
) -> None:
    second = {name for name in shipped if re.fullmatch(r"libnvrtc.*\.alt\.so.*", name)}
    assert second and shipped - installed.keys() == second
