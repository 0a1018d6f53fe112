"""The training loop of both stages: the stages, their batches, steps and epochs, and the checkpoints."""
