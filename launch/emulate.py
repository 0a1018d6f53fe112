"""Starts the local SageMaker (local_test/sagemaker) as a program in its own environment, without importing its code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.errors import ConfigError

ROOT = Path(__file__).parents[1]


def command(arguments: Sequence[str]) -> int:
    """Become the emulator, with these arguments. Raises ConfigError if its environment is missing."""
    python = ROOT / ".venv-sagemaker" / "bin" / "python"
    if not (ROOT / "local_test" / "sagemaker").is_dir():
        raise ConfigError(
            "byoc emulate needs a checkout of the project, and this byoc was installed without a checkout"
        )
    if not python.exists():
        raise ConfigError(f"{python} is missing; make it: make -C {ROOT} emulator")
    # Trap: do not resolve links. A virtual environment's interpreter is a link, and the environment's programs are in the link's folder.
    programs = Path(sys.executable).parent
    # -c sets the path, and not PYTHONPATH, because users' programs inherit the environment and would import our packages.
    start = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('local_test.sagemaker', run_name='__main__')"
    os.execv(python, [str(python), "-I", "-c", start, "--programs", str(programs), *arguments])
