"""The process group on a machine with GPUs, tested on processors: gloo replaces NCCL, which needs GPUs."""

import os
import subprocess
import sys

from tests.conftest import ROOT
from tests.ports import free_port

# Like NCCL, "cuda:gloo" accepts no tensor in main memory.
CODE = """
import sys
import torch
from torch import distributed

begin = distributed.init_process_group
torch.cuda.is_available = lambda: True
torch.cuda.set_device = lambda number: None
distributed.init_process_group = lambda backend, **options: begin(
    "cuda:gloo" if backend == "nccl" else backend.replace("nccl", "gloo"), **options
)
from train.processes import join, leave

world, watch = join()
print(distributed.get_backend_config(), world.total(torch.tensor([1.0, world.rank])).tolist(), file=sys.stderr)
leave(world, watch)
"""


def test_processes_with_gpus_add_up_what_is_in_main_memory() -> None:
    port = free_port()
    shared = os.environ | {"PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", CODE],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    assert ["cpu:gloo,cuda:gloo [2.0, 1.0]" in error for error in errors] == [True, True], errors
