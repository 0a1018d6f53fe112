"""Measures the use of the GPUs and of their memory. torch reads it from NVML, if the package nvidia-ml-py is installed.

Without that package, only the memory of this process's own GPU is measured.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class GpuReading:
    """One GPU: percentages from 0 to 100, and bytes; None for unknown values.

    `memory_activity` is the share of the time in which the memory was read or written, not how full it is.
    """

    use: float | None
    memory_activity: float | None
    memory_bytes: float | None


class Gpus:
    """Reads the GPUs that this host's processes may use, in torch's order."""

    def __init__(self) -> None:
        self.count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        self.missing = ""  # the reason why the GPUs' use is not known; empty if it is known
        if self.count:
            try:
                torch.cuda.utilization(0)
            except Exception as error:  # also NVML's own errors, if the driver refuses
                self.missing = f"{type(error).__name__}: {str(error)[:200]}"

    def memory_limits(self) -> list[int]:
        """Return how many bytes of memory each GPU has."""
        return [torch.cuda.get_device_properties(number).total_memory for number in range(self.count)]

    def read(self) -> list[GpuReading]:
        """Return the present state of each GPU, as far as it is known."""
        return [self._read(number) for number in range(self.count)]

    def _read(self, number: int) -> GpuReading:
        if not self.missing:
            try:
                return GpuReading(
                    use=float(torch.cuda.utilization(number)),
                    memory_activity=float(torch.cuda.memory_usage(number)),
                    memory_bytes=float(torch.cuda.device_memory_used(number)),
                )
            except Exception:  # the GPU is lost, or does not report this
                return GpuReading(use=None, memory_activity=None, memory_bytes=None)
        # Reading another process's GPU would take up memory on that GPU.
        own = number == torch.cuda.current_device()
        free, total = torch.cuda.mem_get_info(number) if own else (0, 0)
        return GpuReading(use=None, memory_activity=None, memory_bytes=float(total - free) if own else None)
