"""The head on frozen features: how it learns (stage), the search for hyperparameters (search), and its optimum by L-BFGS (optimum)."""
