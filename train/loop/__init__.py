"""The training loop, which both stages share: what a stage is, its batches, its steps and its epochs."""
