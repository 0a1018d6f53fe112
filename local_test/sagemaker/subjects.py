"""The modules whose actions and routes the emulator answers: to import them registers these."""

from local_test.sagemaker import tags
from local_test.sagemaker.training import actions as training

SUBJECTS = (tags, training)
