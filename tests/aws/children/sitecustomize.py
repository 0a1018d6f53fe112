"""Python imports this by itself where PYTHONPATH names the folder: guards a process that a test of the driver starts."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "loopback.py"))
