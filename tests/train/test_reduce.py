"""Gradients of several processes: sums formed during the backward pass equal those of one all-reduce after it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

# Each process computes gradients from its own random points, in the given number of passes.
PROCESS = """
import json, sys
from pathlib import Path
import torch
from torch import distributed, nn
from train.loop import reduce

rank, folder, passes = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
torch.manual_seed(0)
layers = [nn.Linear(8, 8) for _ in range(4)]
parameters = [nn.Parameter(torch.ones(3)), *nn.ModuleList(layers).parameters()]  # the first one is not used
log, send = [], reduce._send
reduce._send = lambda bucket: (log.append("send"), send(bucket))[1]
layers[0].register_forward_hook(lambda *call: call[2].register_hook(lambda _: log.append("first layer")) and None)
torch.manual_seed(1 + rank)
clouds = torch.randn(passes, 6, 8, requires_grad=True).unbind()

def backward(cloud):
    loss = nn.Sequential(*layers)(cloud).square().sum()
    return torch.autograd.grad(loss, parameters, materialize_grads=True)

for cloud in clouds:
    for parameter, gradient in zip(parameters, backward(cloud)):
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
reduce.add_up(parameters)
expected = [parameter.grad.clone() for parameter in parameters]
for parameter in parameters:
    parameter.grad = None
log.clear()
with reduce.overlapped(parameters, passes, size=8 * 8 * 4 + 8 * 4):
    for cloud in clouds:
        backward(cloud)
same = [torch.equal(parameter.grad, wanted) for parameter, wanted in zip(parameters, expected)]
(folder / f"{rank}.json").write_text(json.dumps({"same": same, "log": log, "moved": float(expected[1].abs().sum())}))
distributed.destroy_process_group()
"""


def two_processes(folder: Path, passes: int) -> list[dict[str, Any]]:
    commands = [[sys.executable, "-c", PROCESS, str(rank), str(folder), str(passes)] for rank in range(2)]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("passes", [1, 3])
def test_gradients_that_travel_during_the_backward_pass_are_those_of_one_all_reduce_after_it(
    tmp_path: Path, passes: int
) -> None:
    first, second = two_processes(tmp_path, passes)
    assert first["same"] == second["same"] == [True] * 9
    assert first["moved"] == second["moved"] > 0
    for process in (first, second):
        # One bucket per layer, and one at the end for unused parameters: only then is it known which ones are unused.
        log = process["log"]
        assert log.count("send") == 5 and log[-1] == "send"
        # All passes but the last only add to the gradients. When the last reaches the first layer, two exchanges are running.
        assert log.count("first layer") == passes and log[: passes - 1] == ["first layer"] * (passes - 1)
        assert log[passes - 1 : passes + 1] == ["send", "send"]
