"""`python -m train`: run one training job as /opt/ml (or SAGEMAKER_BASE_DIR) describes it."""

import os
import signal
import sys

if __name__ == "__main__":
    # During the imports, which take seconds, Ctrl-C would print a traceback. A job in the background may ignore Ctrl-C.
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from train.processes import started_by_torchrun
    from train.train import main

    signal.signal(signal.SIGINT, interrupt)
    status = main()
    if status and started_by_torchrun():
        # Trap: a process that fails leaves torch's process group open. Its threads then sometimes end the process by SIGABRT ("terminate
        # called without an active exception"; 3 of 16 times), and its exit status is lost.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
