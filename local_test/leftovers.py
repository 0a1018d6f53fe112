"""Finds and removes what SageMaker local mode leaves on a machine: exited containers, a network, files that belong to root."""

import os
import subprocess
from pathlib import Path

NETWORK = "sagemaker-local"  # the SDK's name, the same for every run


def docker(*arguments: str) -> str:
    """Run one docker command and return all that it prints; an empty text if it fails."""
    done = subprocess.run(
        ["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return "" if done.returncode else done.stdout


class Leftovers:
    """Finds and removes what local mode left behind, for runs whose compose files are below `folder`."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder, self.image = folder, image
        self._projects: set[str] = set()

    def containers(self, *filters: str) -> list[str]:
        """Return the ids of the runs' containers. Compose labels a container with the name of its compose file's folder."""
        # The names are kept, since the SDK removes such a folder itself but leaves its containers.
        self._projects |= {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        options = [part for text in filters for part in ("--filter", text)]
        listed = [
            docker("ps", "--all", "--quiet", *options, "--filter", f"label=com.docker.compose.project={name}")
            for name in sorted(self._projects)
        ]
        return " ".join(listed).split()

    def remove_containers(self) -> None:
        """Kill and remove the runs' containers."""
        if found := self.containers():
            docker("rm", "--force", "--volumes", *found)

    def remove(self) -> None:
        """Remove the containers, the network, and the files that only root may remove."""
        self.remove_containers()
        docker("network", "rm", NETWORK)  # this fails, as intended, while another run uses the network
        if os.geteuid() and self.folder.exists():
            options = ("--rm", "--user", "0", "--network", "none", "--volume", f"{self.folder}:/left")
            docker("run", *options, "--entrypoint", "find", self.image, "/left", "-mindepth", "1", "-delete")
