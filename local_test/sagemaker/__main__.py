"""`python -m local_test.sagemaker`, which `byoc emulate` runs in the emulator's own environment."""

import sys

from local_test.sagemaker.command import main

sys.exit(main())
