"""The photos that a report shows: those that look mislabelled, near-duplicates, and what the model got wrong or is unsure of."""

from train.report.photos.write import write_photos

__all__ = ["write_photos"]
