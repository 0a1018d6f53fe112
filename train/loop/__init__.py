"""The training loop of both stages: what a stage is, its batches, steps and epochs, and the checkpoints that it writes."""
