"""The SageMaker container contract, checked from outside on any image; imports nothing of the project beside it."""
