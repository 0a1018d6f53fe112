"""The folders that training writes to: those below /opt/ml, and those that the job's configuration names."""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from classifier.errors import ConfigError
from train.json_file import read_object

OPT_ML = PurePosixPath("/opt/ml")  # the base folder in configuration files; SAGEMAKER_BASE_DIR replaces it
# Errors which mean that this user may not use a file or folder. A full disk is not among them.
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@dataclass(frozen=True)
class Profiling:
    """The settings that training takes from the platform's profilerconfig.json."""

    seconds: float = 0.5  # seconds between two measurements of the machine
    folder: Path | None = None  # the folder for traces; the platform copies it to S3 while the job runs


@dataclass(frozen=True)
class Places:
    """The folders for a job's checkpoints (None: it keeps none) and for TensorBoard's event files, and the profiler's."""

    checkpoints: Path | None
    tensorboard: Path
    profiling: Profiling = Profiling()


def read_places(base: Path) -> Places:
    """Return the folders that checkpointconfig.json and tensorboardoutputconfig.json name, else the platform's defaults.

    Without checkpointconfig.json, checkpoints are kept only if `base` holds a folder `checkpoints`. Raises ConfigError if a file
    is damaged or its path is not absolute.
    """
    checkpoints = base / "checkpoints"
    named = _local_path(base, "checkpointconfig.json", checkpoints)
    tensorboard = base / "output" / "tensorboard"
    return Places(
        named or (checkpoints if checkpoints.is_dir() else None),
        _local_path(base, "tensorboardoutputconfig.json", tensorboard) or tensorboard,
        _profiling(base),
    )


def _profiling(base: Path) -> Profiling:
    """Return the settings in profilerconfig.json; raises ConfigError for a value that cannot be used.

    Its keys are read in any case, and LocalPath also inside of ProfilingParameters, as smdebug reads them. DisableProfiler is
    about SageMaker's profiler, which then copies no folder; our own records of the machine are still written.
    """
    path = base / "input" / "config" / "profilerconfig.json"
    given = {name.lower(): value for name, value in read_object(path).items()}
    if not given:
        return Profiling()
    milliseconds = given.get("profilingintervalinmilliseconds") or 500
    if isinstance(milliseconds, str) and milliseconds.isdigit():
        milliseconds = int(milliseconds)
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or not 100 <= milliseconds <= 3_600_000:
        raise ConfigError(
            f"ProfilingIntervalInMilliseconds is {milliseconds!r} in {path}; it must be a whole number from 100 to 3600000, as in 500"
        )
    inner = given.get("profilingparameters")
    inner = {name.lower(): value for name, value in inner.items()} if isinstance(inner, dict) else {}
    named = given.get("localpath") or inner.get("localpath")
    disabled = str(given.get("disableprofiler", False)).lower() == "true"
    folder = _below(base, path, named, "output/profiler") if named else None
    return Profiling(seconds=milliseconds / 1000, folder=None if disabled else folder)


def check_writable(base: Path, places: Places) -> None:
    """Raise ConfigError if there are folders that this user may not write to or make, with their names."""
    folders = [base / "model", base / "output" / "data", places.tensorboard]
    closed: dict[Path, str] = {}
    for folder in folders + ([places.checkpoints] if places.checkpoints else []):
        place = next(path for path in (folder, *folder.parents) if path.exists())
        if not place.is_dir():
            raise ConfigError(
                f"training needs the folder {folder}, but {place} is a file; remove it, or name another path"
            )
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            if error.errno in _DENIED:
                closed[place] = os.strerror(error.errno)
    if closed:
        raise ConfigError(
            _sentence("write to", ", ".join(map(str, closed)), " and ".join(dict.fromkeys(closed.values())))
        )


def denied(error: BaseException) -> str:
    """Return a sentence if an error means that this user may not use a file or folder, "" for any other error."""
    if not isinstance(error, OSError) or error.errno not in _DENIED or error.filename is None:
        return ""
    may = "write to" if os.access(error.filename, os.R_OK) else "use"
    return _sentence(may, str(error.filename), os.strerror(error.errno))


def _local_path(base: Path, file: str, default: Path) -> Path | None:
    """Return the LocalPath in a configuration file, `default` if it names none, and None if there is no such file."""
    path = base / "input" / "config" / file
    if not path.exists():
        return None
    named = read_object(path).get("LocalPath") or str(OPT_ML / default.relative_to(base))
    return _below(base, path, named, "checkpoints")


def _below(base: Path, path: Path, named: object, example: str) -> Path:
    """Return the folder that a configuration file's LocalPath names."""
    if not isinstance(named, str) or not named.startswith("/") or "\0" in named:
        raise ConfigError(f"LocalPath is {named!r} in {path}; it must be an absolute path, as in {OPT_ML}/{example}")
    below = PurePosixPath(named)
    return base / below.relative_to(OPT_ML) if below.is_relative_to(OPT_ML) else Path(named)


def _sentence(may: str, places: str, reason: str) -> str:
    mount = os.strerror(errno.EROFS) in reason
    remedy = (
        "mount it writable" if mount else "give this user the permission, or run as a user who has it, such as root"
    )
    return f"user {os.getuid()} may not {may} {places} ({reason}); {remedy}"
