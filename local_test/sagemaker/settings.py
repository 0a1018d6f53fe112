"""The emulator's options and fixed settings."""

from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "123456789012"  # moto's own account, so that its ARNs and ours agree
REGION = "us-east-1"  # the region of requests that do not name a region


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of `byoc emulate`; folders are absolute."""

    data: Path  # the data folder with S3's objects, jobs and logs; the emulator does not remove it
    programs: Path  # the folder that holds our two programs, train and serve
    project: Path  # the folder that may hold images.json
    port: int
    # Seconds that Describe waits for a change of a running job; None means the rule in jobs.py.
    hold: float | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def work(self) -> Path:
        """Return the folder for running jobs; it is empty when nothing runs."""
        return self.data / "work"
