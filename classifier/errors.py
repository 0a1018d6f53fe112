"""Errors meant for the user: one sentence that names the thing, the value and the remedy; shown without a traceback.

UserError
├── ConfigError     a hyperparameter or option that cannot be used
├── DataError       a folder of photos that cannot be trained on
├── PhotoError      bytes that are not a usable photo
├── WeightsError    pretrained weights that cannot be had or do not fit
├── ArtifactError   a model artifact that is missing, damaged or of another version
└── ArchiveError    a tar archive that is damaged or holds what may not be unpacked
"""


class UserError(Exception):
    """Base of every error whose text is the whole message."""

    exit_status = 1  # of the command that it ends


class ConfigError(UserError):
    """A hyperparameter or option that cannot be used."""


class DataError(UserError):
    """A folder of photos that cannot be trained on."""


class PhotoError(UserError):
    """Bytes that are not a usable photo."""


class WeightsError(UserError):
    """Pretrained weights that cannot be had or do not fit."""


class ArtifactError(UserError):
    """A model artifact that is missing, damaged or of another version."""


class ArchiveError(UserError):
    """A tar archive that is damaged, or holds what may not be unpacked."""
