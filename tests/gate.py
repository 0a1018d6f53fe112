"""A gate before the preparation of models: the test decides when the preparation begins, however fast or slow the machine is."""

import os
from pathlib import Path

# Python imports a module named sitecustomize when it starts, in each process of the server. After five minutes the gate opens by itself.
SITECUSTOMIZE = """
import sys, time
from pathlib import Path

end = time.monotonic() + 300
while "serve.prepare" in sys.orig_argv and not Path({gate!r}).exists() and time.monotonic() < end:
    time.sleep(0.02)
"""


class Gate:
    """Processes that get its `variables` do not prepare a model before `open()`. Its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "open"
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE.format(gate=str(self._file)))
        others = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # the images' tests need theirs
        self.variables = {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, others)])}

    def open(self) -> None:
        self._file.touch()

    def close(self) -> None:
        self._file.unlink()
