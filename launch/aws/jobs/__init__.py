"""Training and tuning jobs: start, follow, list, stop."""
