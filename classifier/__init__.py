"""The parts that training, checking and serving share: photos, preprocessing, the model, its spec and its artifact."""

__version__ = "0.1.0"
