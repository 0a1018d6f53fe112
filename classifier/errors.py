"""Errors whose text is for the user: one sentence with the thing, the value and the remedy, shown without a traceback.

UserError
├── ConfigError     a hyperparameter or option that cannot be used
├── DataError       photos, or a list of them, that cannot be trained on
├── PhotoError      bytes that are not a usable photo
├── WeightsError    pretrained weights that cannot be loaded or do not fit
├── ArtifactError   a model artifact that is missing, damaged or of another version
└── ArchiveError    a tar archive that is damaged or holds files that must not be unpacked
"""


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
