"""`python -m local_test.sagemaker`, which `byoc emulate` runs in the emulator's own environment."""

import faulthandler
import os
import signal
import sys

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) != signal.SIG_IGN:
        # During the imports a signal may end the process at once, since nothing has started yet.
        signal.signal(number, lambda number, frame: os._exit(128 + number))

# An emulator that does not end shows by SIGUSR1 what each of its threads does.
faulthandler.register(signal.SIGUSR1, all_threads=True)

from local_test.sagemaker.command import main  # noqa: E402

sys.exit(main())
