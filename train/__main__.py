"""`python -m train`: run one training job as /opt/ml (or SAGEMAKER_BASE_DIR) describes it."""

import sys

from train.train import main

if __name__ == "__main__":
    sys.exit(main())
