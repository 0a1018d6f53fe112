"""The scripts of local_test, run as a person runs them, and what they leave on this machine."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

TRAIN = os.environ.get("TRAIN_IMAGE", "byoc-classifier-train:cpu")
SERVE = os.environ.get("SERVE_IMAGE", "byoc-classifier-serve:cpu")
MODES = pytest.mark.parametrize("mode", [[], ["--plain"]], ids=["local-mode", "plain"])


class Machine:
    """Runs a script of local_test with its own folder for temporary files, and lists what it leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, folder / "temporary"
        self.temporary.mkdir()

    def start(self, script: str, *arguments: str | Path, image: str, log: Path) -> "subprocess.Popen[str]":
        # In a new session, so that a signal reaches the script and all processes that it started, as Ctrl-C does.
        with log.open("w") as output:
            return subprocess.Popen(
                [ROOT / "local_test" / script, *map(str, arguments)],
                env=os.environ | {"TMPDIR": str(self.temporary), "IMAGE": image},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, script: str, *arguments: str | Path, image: str, log: Path) -> int:
        return self.start(script, *arguments, image=image, log=log).wait(timeout=900)

    def left(self) -> list[str]:
        """Containers that mount one of our folders, a network that no container uses, and temporary files."""
        everything = docker("ps", "--all", "--quiet", check=True).split()
        mounts = "{{.Name}} {{.State.Status}}{{range .Mounts}} {{.Source}}{{end}}"
        containers = docker("inspect", "--format", mounts, *everything).splitlines() if everything else []
        networks = docker(
            "network", "inspect", "--format", "{{.Name}} {{len .Containers}}", "sagemaker-local"
        ).splitlines()
        found = [line for line in containers if f" {self.folder}/" in line]
        found += [line for line in networks if line == "sagemaker-local 0"]
        return found + [path.name for path in self.temporary.iterdir()]


def docker(*arguments: str, check: bool = False) -> str:
    # Another process may have removed what was just listed.
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check).stdout


def wait_for(text: str, log: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 600
    # The log may end in the middle of a character that has several bytes.
    while text not in log.read_text(errors="replace"):
        assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")[-2000:]
        time.sleep(0.2)
