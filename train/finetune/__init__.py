"""Stage 2: backbone and head learn on together, from augmented photos."""

from train.finetune.stage import finetune_stage, predict_photos

__all__ = ["finetune_stage", "predict_photos"]
