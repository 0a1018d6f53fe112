"""sagemaker-inference's model server with its default handler, in a folder of its own: python -m benchmarks.peers.stock_server FOLDER"""

import os
import sys
from pathlib import Path

import psutil
from sagemaker_inference import model_server  # type: ignore[import-not-found, unused-ignore]

if __name__ == "__main__":
    # Hard-coded below /etc, and every model server of the machine is looked for instead of those of its own session.
    model_server.MMS_CONFIG_FILE = str(Path(sys.argv[1]) / "mms.properties")
    everything = psutil.process_iter
    psutil.process_iter = lambda *_: [process for process in everything() if os.getsid(process.pid) == os.getsid(0)]  # type: ignore[assignment]
    model_server.start_model_server()
