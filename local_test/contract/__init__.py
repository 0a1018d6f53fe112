"""Checks the SageMaker container contract from outside, on any image. Imports nothing from the rest of the project."""
