"""Starts the local SageMaker of local_test/sagemaker, as a program of its own environment; nothing of it is imported here."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.errors import ConfigError

ROOT = Path(__file__).parents[1]


def command(arguments: Sequence[str]) -> int:
    """Become the emulator, with these arguments; raises ConfigError where its environment is missing."""
    python = ROOT / ".venv-sagemaker" / "bin" / "python"
    if not (ROOT / "local_test" / "sagemaker").is_dir():
        raise ConfigError("byoc emulate runs in a checkout of the project, and this byoc was installed without one")
    if not python.exists():
        raise ConfigError(f"{python} is missing; make it: make -C {ROOT} emulator")
    # Trap: the interpreter's own folder, not where a link of a virtual environment leads.
    programs = Path(sys.executable).parent
    # By -c, not by PYTHONPATH: a user's command inherits the environment, and would import our packages for its own.
    start = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('local_test.sagemaker', run_name='__main__')"
    os.execv(python, [str(python), "-I", "-c", start, "--programs", str(programs), *arguments])
