"""Hyperparameters of other programs, which notebooks bring along. Imports no torch.

They come from SageMaker's built-in image classification (MXNet and TensorFlow), JumpStart, and common torch and keras scripts.
The rules (rules.py) say for each name: it is read as one of our hyperparameters, ignored because it changes nothing here, or refused with a
remedy.
"""
