"""Several processes for one job: how they start, find each other, share the work and notice that one is gone.

Imports no torch; `train.processes.world` does.
"""

from train.processes.launch import join, killed, leave, lost, per_host, run_torchrun, started_by_torchrun

__all__ = ["join", "killed", "leave", "lost", "per_host", "run_torchrun", "started_by_torchrun"]
