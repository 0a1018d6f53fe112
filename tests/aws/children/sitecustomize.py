"""Python imports this file by itself if PYTHONPATH names its folder. It guards a process that a test of the driver starts."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "loopback.py"))
