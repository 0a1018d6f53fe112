"""Hyperparameters of other programs, which notebooks bring along. Imports no torch.

They come from SageMaker's built-in image classification (MXNet and TensorFlow), JumpStart, and common torch and keras scripts.
A rule for each name (rules.py) says that it is read as one of our hyperparameters, that it is ignored because it changes nothing
here, or that it is refused, with a sentence on what to use.
"""
