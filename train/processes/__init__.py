"""Several processes for one job: their start, their connection, the shares of the work, and the detection of lost processes.

Imports no torch; `train.processes.world` does.
"""

from train.processes.launch import join, killed, leave, lost, per_host, run_torchrun, started_by_torchrun

__all__ = ["join", "killed", "leave", "lost", "per_host", "run_torchrun", "started_by_torchrun"]
