"""Script mode: if a job or its image names a user's code, that code runs instead of this program."""

from train.script.start import named, run

__all__ = ["named", "run"]
