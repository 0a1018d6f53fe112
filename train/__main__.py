"""`python -m train`: run one training job as /opt/ml (or SAGEMAKER_BASE_DIR) describes it."""

import os
import signal
import sys

if __name__ == "__main__":
    # The imports take seconds, and Ctrl-C in them would print a traceback; a job in the background may ignore it.
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from train.processes import started_by_torchrun
    from train.train import main

    signal.signal(signal.SIGINT, interrupt)
    status = main()
    if status and started_by_torchrun():
        # Trap: a process that fails leaves torch's process group open, whose threads sometimes end it by SIGABRT on its way
        # out ("terminate called without an active exception"): 3 of 16 times. Then its status would be lost.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
