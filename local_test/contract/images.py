"""Reads what an image declares before it runs. The same clauses hold for training and serving images."""

from local_test.contract.engine import LABEL, docker, image_config


def entry(image: str) -> tuple[list[str], list[str]]:
    """Return the entry point and the default command."""
    config = image_config(image)["Config"]
    return config["Entrypoint"] or [], config["Cmd"] or []


def shell_form(command: list[str]) -> bool:
    """Return whether a command was written in shell form, so that a shell gets the signals."""
    return command[:2] in (["/bin/sh", "-c"], ["/bin/bash", "-c"])


def drivers(image: str) -> list[str]:
    """Return the files of an NVIDIA driver in the image, without the stubs of toolkits."""
    find = ("find", image, "/", "-xdev", "(", "-name", "libcuda.so.*", "-o", "-name", "libnvidia-ml.so.*", ")")
    command = ("--rm", "--network", "none", "--user", "0", "--label", LABEL, "--entrypoint", *find)
    return [path for path in docker("run", *command).splitlines() if "/stubs/" not in path]


def platform(image: str) -> str:
    """Return operating system and architecture, as in linux/amd64."""
    config = image_config(image)
    return f"{config['Os']}/{config['Architecture']}"


def label(image: str, capability: str) -> bool:
    """Return whether the image claims one of the platform's capabilities."""
    labels = image_config(image)["Config"]["Labels"] or {}
    return labels.get(f"com.amazonaws.sagemaker.capabilities.{capability}") == "true"
