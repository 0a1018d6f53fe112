"""TensorBoard's event files, which SageMaker copies to S3 while the job runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.config import METRICS


class Board:
    """Writes the curves of a job into a folder; without a folder it writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        self._steps: dict[str, int] = {}
        if folder is not None:
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(folder), flush_secs=10)

    def epoch(self, stage: str, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Add an epoch's metrics, and the loss of each of its steps."""
        if self._writer is None:
            return
        for loss in metrics["step_losses"]:
            self._steps[stage] = self._steps.get(stage, 0) + 1
            self._writer.add_scalar(f"{stage}/step_loss", loss, self._steps[stage])
        for name in METRICS:
            self._writer.add_scalar(f"{stage}/{name.replace(':', '_')}", metrics[name], epoch)

    def close(self) -> None:
        """Write all waiting data, and close the file."""
        if self._writer is not None:
            self._writer.close()
