"""What both images carry: the spec, photos, preprocessing, models and the artifact."""

__version__ = "0.1.0"
