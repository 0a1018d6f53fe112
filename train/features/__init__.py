"""Computes features: one pass of the frozen backbone over a job's photos. The features can be kept on disk."""

from train.features.extract import FeaturePass, Features, Unreadable
from train.features.lanes import CHUNK

__all__ = ["CHUNK", "FeaturePass", "Features", "Unreadable"]
