"""Script mode: a job or an image names code of the user's, which runs in place of ours."""

from train.script.start import named, run

__all__ = ["named", "run"]
