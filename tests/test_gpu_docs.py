"""docs/gpu.md says which AMI has a driver for the CUDA libraries that the lock files pin."""

import re

from classifier.device import NEEDS, line
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "gpu.md").read_text()
ROWS = re.findall(
    r"^\| (endpoint|batch transform) \| `(\w+)` \| `([\w-]+)` \| (\d+) \| (yes|no) \|$", TEXT, re.MULTILINE
)


def locked(program: str) -> str:
    """Return the version of CUDA, such as 13.0, whose runtime an image holds."""
    lock = (ROOT / "requirements" / f"{program}-cuda.lock").read_text()
    (version,) = re.findall(r"^nvidia-cuda-runtime==(\d+\.\d+)\.", lock, re.MULTILINE)
    return str(version)


def test_the_table_says_which_ami_runs_the_locked_cuda() -> None:
    assert locked("train") == locked("serve")
    oldest = NEEDS[int(locked("serve").split(".")[0])].driver
    assert len(ROWS) == 6 and {row[0] for row in ROWS} == {"endpoint", "batch transform"}
    for _, _, ami, driver, runs in ROWS:
        assert (runs == "yes") is (int(driver) >= oldest), ami
    assert f"CUDA {locked('serve')}, which need NVIDIA driver {oldest} or newer" in TEXT


def test_the_start_line_names_what_the_table_says_of_endpoint_and_transform() -> None:
    for cuda, need in NEEDS.items():
        for place, told in (("endpoint", need.endpoint), ("batch transform", need.transform)):
            fit = {
                f"{parameter} {ami}"
                for for_, parameter, ami, driver, _ in ROWS
                if for_ == place and int(driver) >= need.driver
            }
            assert told in (fit or {"no AMI"})
            assert told in line(cuda=f"{cuda}.0", gpus=[], driver="418.40")
