"""The photos that a report shows: photos that look mislabelled, near-duplicates, and wrong or uncertain answers of the model."""

from train.report.photos.write import write_photos

__all__ = ["write_photos"]
