"""Hyperparameter tuning jobs: they follow the platform's protocol, and Optuna chooses the values."""
