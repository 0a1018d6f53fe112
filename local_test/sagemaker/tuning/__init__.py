"""Hyperparameter tuning jobs: the protocol is the platform's, the choice of values is Optuna's."""
