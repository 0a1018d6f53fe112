"""Everything that an action works with, as one object for each region."""

import sys
import threading
from dataclasses import dataclass, field

from local_test.sagemaker.access import Access
from local_test.sagemaker.background import Background
from local_test.sagemaker.faults import Faults
from local_test.sagemaker.logs import Logs
from local_test.sagemaker.machine import Machine
from local_test.sagemaker.metrics import Metrics
from local_test.sagemaker.settings import ACCOUNT, Settings
from local_test.sagemaker.storage import Storage
from local_test.sagemaker.store import Store, arn


@dataclass(frozen=True)
class Cloud:
    """One region of the emulated SageMaker.

    All regions share storage, machine, background and faults; each region has its own store, logs and metrics.
    """

    region: str
    settings: Settings
    store: Store
    storage: Storage
    logs: Logs
    metrics: Metrics
    machine: Machine
    background: Background
    faults: Faults
    access: Access

    def arn(self, kind: str, name: str) -> str:
        return arn(self.region, ACCOUNT, kind, name)

    def say(self, line: str) -> None:
        """Print one line of progress to standard error, because a command's output may be read from standard output."""
        print(line, file=sys.stderr, flush=True)


@dataclass
class Clouds:
    """The regions that requests have named so far."""

    settings: Settings
    storage: Storage
    machine: Machine
    background: Background
    faults: Faults = field(default_factory=Faults)
    access: Access = field(default_factory=Access)
    _regions: dict[str, Cloud] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def region(self, name: str) -> Cloud:
        with self._lock:
            if name not in self._regions:
                self._regions[name] = Cloud(
                    region=name,
                    settings=self.settings,
                    store=Store(self.settings.data / "resources" / name),
                    storage=self.storage,
                    logs=Logs(name),
                    metrics=Metrics(name),
                    machine=self.machine,
                    background=self.background,
                    faults=self.faults,
                    access=self.access,
                )
            return self._regions[name]
