"""Starts and ends the processes of one job: torchrun starts one for each GPU, or one on a host without GPUs."""

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from classifier.device import gpu_count
from classifier.errors import UserError
from train import environment, stop
from train.contract import Job, forget_failure
from train.processes.hosts import wait_for_hosts

if TYPE_CHECKING:
    from train.processes.alive import Watch
    from train.processes.world import World

# The time after which torch ends a process's wait for another. Watch detects lost processes, so this only has to exceed any wait for a slow
# process.
PATIENCE = timedelta(hours=24)
_LOST = "another process of the job ended"
_LOG = "a library failed or gave up; its last lines in the log say more"
_REMEDIES = {
    "SIGKILL": "most often the machine's memory was full; use an instance with more of it",
    "SIGBUS": "most often the shared memory was full; start the container with --shm-size 1g",
}


def per_host() -> int:
    """Return how many processes this host runs."""
    return max(1, gpu_count())


def started_by_torchrun() -> bool:
    """Return whether torchrun started this process, as one of several of the job."""
    return environment.TORCHRUN_ID.read()


def run_torchrun(job: Job, local: int, arguments: Sequence[str]) -> int:
    """Run this program in `local` processes on this host, and return the exit status. The other hosts do the same.

    Raises UserError when a signal ended one of this host's processes, which could not write a failure text itself.
    """
    wait_for_hosts(job.hosts)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    if job.network_interface:
        environment.GLOO_INTERFACE.set(job.network_interface)
        environment.NCCL_INTERFACE.set(job.network_interface)
    # Each process has already printed its own error.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    command = ["--nnodes", str(len(job.hosts)), "--node-rank", str(job.hosts.index(job.current_host))]
    command += ["--nproc-per-node", str(local), "--max-restarts", "0"]
    command += ["--master-addr", job.hosts[0], "--master-port", str(environment.MASTER_PORT.read())]
    config, program, its_arguments = config_from_args(parse_args([*command, "-m", "train", *arguments]))  # type: ignore[no-untyped-call]
    print(f"{len(job.hosts)} hosts with {local} processes each; {job.hosts[0]} is the chief", flush=True)
    try:
        # torchrun passes SIGTERM on to the processes and waits 30 s for their end.
        elastic_launch(config, program)(*its_arguments)
    except SignalException:
        return stop.STATUS
    except ChildFailedError as error:
        statuses = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if error.get_first_failure()[1].exitcode == stop.STATUS:
            return stop.STATUS
        if sentence := killed(statuses):
            _forget_consequence(job.base)
            raise UserError(sentence) from None
        return 1
    return 0


def killed(statuses: Mapping[int, int]) -> str:
    """Return a sentence about the process of lowest rank that a signal ended, "" if there is none.

    `statuses` are exit statuses by rank; one below 0 is minus a signal's number.
    """
    for rank, status in sorted(statuses.items()):
        if status < 0:
            number = -status
            name = signal.Signals(number).name if number in set(signal.Signals) else f"number {number}"
            return f"process {rank} of the job was ended by the signal {name}: {_REMEDIES.get(name, _LOG)}"
    return ""


def _forget_consequence(base: Path) -> None:
    """Remove the failure text if it comes from a process that only detected another process's loss."""
    path = base / "output" / "failure"
    if path.exists() and path.read_text(errors="replace").startswith(_LOST):
        forget_failure(base)


def join() -> "tuple[World, Watch | None]":
    """Connect this process to the others of the job, and return its World and the watch over the others."""
    from train.processes.world import World

    if not started_by_torchrun():
        return World(), None
    import torch
    from torch import distributed

    from train.processes.alive import Watch

    rank, size = environment.RANK.read(), environment.WORLD_SIZE.read()
    if torch.cuda.is_available():
        torch.cuda.set_device(environment.LOCAL_RANK.read())
    # The head's tensors are in main memory even on a machine with GPUs.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    if rank:
        sys.stdout = Path(os.devnull).open("w", errors="replace")  # noqa: SIM115 - for the rest of the process; the chief alone prints, once for all
    return World(rank, size, control), Watch(rank, size)


def lost(error: Exception) -> str | None:
    """Return a sentence if an error means that another process is gone, else None."""
    text = str(error)
    if not started_by_torchrun() or not any(
        word in text.lower() for word in ("gloo", "nccl", "connection", "tcpstore")
    ):
        return None
    return (
        f"{_LOST} or its host is gone: look at the failure text and log of the other hosts first "
        f"({text.splitlines()[0][:200]})"
    )


def leave(world: "World", watch: "Watch | None") -> None:
    """Wait until all processes are done. Local mode stops all hosts when the first host ends, so the first waits too."""
    if watch is None:
        return
    from torch import distributed

    # Trap: a process that waits here must go on to say that it is alive. The chief may compute for minutes after the others are done, and
    # its watch ended the job after 30 s of their silence.
    world.barrier()
    watch.close()
    distributed.destroy_process_group()
