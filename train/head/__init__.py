"""The head on frozen features: its training (stage), the search for its hyperparameters (search), and its optimum by L-BFGS (optimum)."""
