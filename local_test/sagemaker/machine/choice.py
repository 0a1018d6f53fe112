"""Chooses the machine that runs the containers, and says why."""

from dataclasses import dataclass

from local_test.sagemaker.errors import StartError
from local_test.sagemaker.machine import Machine, engine
from local_test.sagemaker.machine.docker import DockerMachine
from local_test.sagemaker.machine.engine import EngineError
from local_test.sagemaker.machine.images import Images
from local_test.sagemaker.machine.process import ProcessMachine
from local_test.sagemaker.settings import Settings


@dataclass(frozen=True)
class Choice:
    """The machine of an emulator; `all` holds the machines that an earlier emulator may have used."""

    machine: Machine
    all: tuple[Machine, ...]
    why: str  # a sentence for the user that gives the reason

    def end_leftovers(self) -> list[str]:
        return [name for machine in self.all for name in machine.end_leftovers()]


def choose(run: str | None, settings: Settings) -> Choice:
    """Return the machine that --run names. Without --run, return Docker if it answers, else processes; raises StartError."""
    processes = ProcessMachine(settings.programs, Images(settings.project / "images.json"), settings.work)
    try:
        version = engine.version()
    except EngineError as error:
        if run == "docker":
            raise StartError(f"Docker cannot be used: {error}; start Docker, or use --run process") from None
        why = "as --run says" if run else f"since Docker cannot be used: {error}"
        return Choice(processes, (processes,), f"containers run as processes, {why}")
    containers = DockerMachine(settings.data)
    both: tuple[Machine, ...] = (processes, containers)
    if run == "process":
        return Choice(processes, both, "containers run as processes, as --run says")
    why = "as --run says" if run else "which answers; --run process runs this project's programs without Docker"
    return Choice(containers, both, f"containers run in Docker {version}, {why}")
