"""Script mode: if a job or its image names code of the user's, that code runs in place of this program."""

from train.script.start import named, run

__all__ = ["named", "run"]
