"""Makes the emulator's user the owner of files that a container's root wrote into folders of this machine."""

import os
import shlex
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from local_test.sagemaker.machine.engine import EngineError, bind, docker

# The commands come from this machine, since an image may not have chown.
COMMANDS = (Path("/bin"), Path("/lib"), Path("/lib64"), Path("/usr"))
VARIABLES = ("--env", "PATH=/usr/bin:/bin", "--env", "LD_PRELOAD=", "--env", "LD_LIBRARY_PATH=")
GIVEN = PurePosixPath("/given")
SCRIPT = 'chown -RhP "$0" /given/* && chmod -R u+rwX /given/*'


def give_back(folders: Iterable[Path], image: str, labels: Sequence[str]) -> None:
    """Let the emulator's user read and remove everything below some folders; `image` is any image on this machine."""
    foreign = [folder for folder in folders if folder.is_dir() and _holds_foreign(folder)]
    if not foreign:
        return
    shown = [(path, PurePosixPath(path), True) for path in COMMANDS if path.is_dir()]
    shown += [(path, GIVEN / str(number), False) for number, path in enumerate(foreign)]
    owner = f"{os.geteuid()}:{os.getegid()}"
    options = (
        *("run", "--rm", "--pull", "never", "--network", "none", "--log-driver", "none", *labels),
        *("--user", "0:0", "--userns", "host", *VARIABLES, *[word for mount in shown for word in bind(*mount)]),
    )
    try:
        docker(*options, "--entrypoint", "/bin/sh", "--", image, "-c", SCRIPT, owner)
    except EngineError as error:
        remedy = shlex.join(["sudo", "chown", "-R", owner, *map(str, foreign)])
        print(
            f"byoc: files that a container's root wrote do not belong to this user yet: {error}; {remedy}",
            file=sys.stderr,
        )


def _holds_foreign(folder: Path) -> bool:
    """Return whether a folder, or something below it, belongs to somebody else, or cannot be read or removed."""
    user = os.geteuid()
    if user == 0:
        return False
    found = [folder]
    try:
        while found:
            status = found[-1].stat()
            if status.st_uid != user or status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                return True
            with os.scandir(found.pop()) as entries:
                for entry in entries:
                    if entry.stat(follow_symlinks=False).st_uid != user:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        found.append(Path(entry.path))
    except OSError:  # this also happens if another thread has just removed the file
        return True
    return False
