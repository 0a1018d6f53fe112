"""Starts sagemaker-inference's model server with its default handler: python -m benchmarks.peers.stock_server FOLDER"""

import os
import sys
from pathlib import Path

import psutil
from sagemaker_inference import model_server  # type: ignore[import-not-found, unused-ignore]

if __name__ == "__main__":
    # The toolkit writes its settings to /etc, and mistakes any model server of the machine for its own. Here, several run.
    model_server.MMS_CONFIG_FILE = str(Path(sys.argv[1]) / "mms.properties")
    everything = psutil.process_iter
    psutil.process_iter = lambda *_: [process for process in everything() if os.getsid(process.pid) == os.getsid(0)]  # type: ignore[assignment]
    model_server.start_model_server()
