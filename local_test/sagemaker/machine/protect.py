"""Read-only mounts for a process: bind mounts in a separate mount namespace, if the kernel allows that."""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

UNSHARE = shutil.which("unshare") or "unshare"  # tools of this machine, independent of the program's PATH
# The arguments are pairs of a folder and its mount point, then --, then the program, which keeps the process's number.
SCRIPT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" || exit 125; shift 2; done; shift; exec "$@"'


def shown_read_only(pairs: Sequence[tuple[Path, Path]], command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` with the first folder of each pair mounted read-only at the second."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    shown = [str(path) for pair in pairs for path in pair]
    return [UNSHARE, "--mount", *root, "--propagation", "private", "sh", "-c", SCRIPT, "sh", *shown, "--", *command]


@functools.cache
def able() -> bool:
    """Return whether read-only bind mounts work here. They do not work in a container, or if user namespaces are switched off."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        source.mkdir()
        target.mkdir()
        command = shown_read_only([(source, target)], ["sh", "-c", f"! touch '{target}/file' 2> /dev/null"])
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
