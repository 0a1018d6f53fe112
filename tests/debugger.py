"""Runs a small training with the Debugger's hook, and reads its files with smdebug itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOOP = """
import os, shutil, sys
from pathlib import Path
import torch
from train.report.hooks import open_hook
base = Path(sys.argv[1])
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
hook = open_hook(base)
hook and hook.attach(model)
for step in range(6):
    loss = model(torch.ones(2, 4)).square().mean()
    model.zero_grad()
    loss.backward()
    hook and hook.step("train", {"loss": loss, "auxiliary": step / 2})
    exec(sys.argv[2])
hook and hook.step("validation", {"loss": torch.tensor(7.0, dtype=torch.bfloat16)})
hook and hook.close()
print("smdebug" in sys.modules, "ended")
"""
READ = """
import json, sys
from smdebug import modes
from smdebug.trials import create_trial
trial = create_trial(sys.argv[1])
result = {}
for name in trial.tensor_names():
    tensor, found = trial.tensor(name), {}
    for mode in (modes.TRAIN, modes.EVAL):
        for step in tensor.steps(mode=mode):
            reductions = tensor.reduction_values(step, mode=mode)
            value = {f"{'abs_' * absolute}{kind}": float(number) for (kind, absolute), number in reductions.items()}
            found[f"{mode.name} {step}"] = value or tensor.value(step, mode=mode).tolist()
    result[name] = found
print("READ", json.dumps(result))
"""


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the values of the tensors in a folder, by name and by mode and step."""
    done = subprocess.run([sys.executable, "-P", "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("READ "))
    return json.loads(line.removeprefix("READ "))


def loop(base: Path, config: Any, *, after_step: str = "") -> tuple[list[str], list[str]]:
    """Run a small training with this configuration, and return the lines of its output and of its errors."""
    folder = base / "input" / "config"
    folder.mkdir(parents=True)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / "debughookconfig.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOP, str(base), after_step], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines(), done.stderr.splitlines()
