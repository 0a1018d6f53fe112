"""Errors whose text is for the user: one sentence with the thing, the value and the remedy, shown without a traceback.

UserError
├── ConfigError     a hyperparameter or option that cannot be used
├── DataError       photos, or a list of them, that cannot be trained on
├── PhotoError      bytes that are not a usable photo
├── WeightsError    pretrained weights that cannot be loaded or do not fit
├── ArtifactError   a model artifact that is missing, damaged or of another version
└── ArchiveError    a tar archive that is damaged or holds files that must not be unpacked
"""

# The beginnings of torch's messages about errors of a GPU.
_CUDA = ("cuda", "cudnn", "cublas", "cusparse", "cufft", "cusolver")


class UserError(Exception):
    """Base class of these errors."""

    exit_status = 1  # the exit status of the command that ends with this error


class ConfigError(UserError):
    """A hyperparameter or option that cannot be used."""


class DataError(UserError):
    """Photos, or a list of them, that cannot be trained on."""


class PhotoError(UserError):
    """Bytes that are not a usable photo."""


class WeightsError(UserError):
    """Pretrained weights that cannot be loaded or do not fit."""


class ArtifactError(UserError):
    """A model artifact that is missing, damaged or of another version."""


class ArchiveError(UserError):
    """A tar archive that is damaged, or holds files that must not be unpacked."""


def short_reason(error: BaseException) -> str:
    """Return the most informative line of a library's error message, with the error's type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    # Messages of OpenVINO and torch begin with the place in their sources and end with the reason. Messages of CUDA begin with the reason
    # and end with advice on debugging.
    line = lines[0] if lines[0].lower().startswith(_CUDA) else lines[-1]
    return f"{type(error).__name__}: {line[:200]}"
